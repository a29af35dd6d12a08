//! The guide, which mdBook builds from the documents in the repository.

use crate::files::{copy_file, read_text, remove_folder, write_file};
use crate::paths::{normalise_path, root, work_dir};
use crate::process::{Result, cargo, command, run};
use std::path::{Path, PathBuf};

/// Version of mdBook.
const MDBOOK: &str = "0.5.4";

/// A chapter: its title, the path of its document in the repository, and its path in the book.
type Chapter = (&'static str, &'static str, &'static str);

/// The parts of the guide and the chapters in each part.
const PARTS: &[(&str, &[Chapter])] = &[
    ("", &[("tteview", "README.md", "index.md")]),
    (
        "Scanner software",
        &[
            ("Quick start", "docs/host/quick-start.md", "host/quick-start.md"),
            ("Acquisitions", "docs/host/acquisition.md", "host/acquisition.md"),
            ("Results", "docs/host/results.md", "host/results.md"),
            ("Threads, real time and memory", "docs/host/threads.md", "host/threads.md"),
            ("Providers", "docs/host/providers.md", "host/providers.md"),
            ("Errors and robustness", "docs/host/errors.md", "host/errors.md"),
            ("Checker", "docs/host/checker.md", "host/checker.md"),
            ("Performance", "docs/host/performance.md", "host/performance.md"),
            ("Examples", "docs/host/examples.md", "host/examples.md"),
        ],
    ),
    (
        "Devices",
        &[
            ("Jetson", "docs/device/jetson.md", "device/jetson.md"),
            ("Sysroot", "jetson-sysroot/README.md", "device/sysroot.md"),
            ("Latency budget", "docs/device/latency-budget.md", "device/latency-budget.md"),
        ],
    ),
    (
        "Models",
        &[
            ("Command line", "docs/model/command-line.md", "model/command-line.md"),
            (
                "Comparison with pydicom",
                "docs/model/cine-comparison.md",
                "model/cine-comparison.md",
            ),
            ("Compiler", "docs/model/compiler.md", "model/compiler.md"),
            (
                "Bring your own network",
                "docs/model/bring-your-own-network.md",
                "model/bring-your-own-network.md",
            ),
            ("Specification of a network", "docs/model/specification.md", "model/specification.md"),
            ("Model kit", "training/README.md", "model/training.md"),
            ("Demo model", "docs/model/demo-model.md", "model/demo-model.md"),
            ("Phantom", "docs/model/phantom.md", "model/phantom.md"),
        ],
    ),
    (
        "Specifications",
        &[
            ("Stream contract", "docs/stream-contract.md", "stream-contract.md"),
            ("Model package", "docs/model-package.md", "model-package.md"),
            ("ABI", "docs/abi.md", "abi.md"),
        ],
    ),
    (
        "Development",
        &[
            ("Contributing", "CONTRIBUTING.md", "develop/contributing.md"),
            ("Architecture", "docs/develop/architecture.md", "develop/architecture.md"),
            ("Style", "docs/develop/style.md", "develop/style.md"),
            ("Requirements", "docs/develop/requirements.md", "develop/requirements.md"),
            ("Trust", "docs/develop/trust.md", "develop/trust.md"),
            ("Dependencies", "docs/develop/dependencies.md", "develop/dependencies.md"),
            ("Changelog", "CHANGELOG.md", "develop/changelog.md"),
            ("Security", "SECURITY.md", "develop/security.md"),
        ],
    ),
    (
        "Regulatory",
        &[
            ("Overview", "docs/regulatory/README.md", "regulatory/overview.md"),
            ("Intended use", "docs/regulatory/intended-use.md", "regulatory/intended-use.md"),
            ("Software items", "docs/regulatory/software-items.md", "regulatory/software-items.md"),
            ("Hazards", "docs/regulatory/hazards.md", "regulatory/hazards.md"),
            ("Threat model", "docs/regulatory/threat-model.md", "regulatory/threat-model.md"),
            ("Change control", "docs/regulatory/change-control.md", "regulatory/change-control.md"),
        ],
    ),
    (
        "Notes",
        &[
            ("Runs on a GPU", "docs/notes/gpu.md", "notes/gpu.md"),
            (
                "Experiments of the compiler",
                "docs/notes/compiler-experiments.md",
                "notes/compiler-experiments.md",
            ),
            (
                "Training of the demo model",
                "docs/notes/demo-model-training.md",
                "notes/demo-model-training.md",
            ),
            ("Ablations", "docs/notes/ablations.md", "notes/ablations.md"),
            (
                "Benches before and after the restructuring",
                "docs/notes/restructuring-benches.md",
                "notes/restructuring-benches.md",
            ),
        ],
    ),
];

/// Style sheet that makes the pages wider and the tables more compact than mdBook's default style,
/// because tables of measurements have many columns.
const STYLE: &str = "html body .content main { max-width: 960px !important; }\n\
    html body .content table { font-size: 0.88em; }\n\
    html body .content table :is(th, td) { padding: 3px 10px; }\n";

const CONFIG: &str = "[book]\ntitle = \"tteview\"\nlanguage = \"en\"\nsrc = \"src\"\n\n\
    [output.html]\nno-section-label = true\ngit-repository-url = \"REPOSITORY\"\n\n\
    [output.html.search]\nlimit-results = 20\n\n[output.html.fold]\nenable = false\n";

/// Builds the guide into `site`.
pub(super) fn build(site: &Path) -> Result {
    let folder = work_dir().join("book");
    remove_folder(&folder)?;
    let mut summary = String::from("# Summary\n\n");
    for (part, chapters) in PARTS {
        if !part.is_empty() {
            summary += &format!("\n# {part}\n\n");
        }
        for (title, document, place) in *chapters {
            let mark = if part.is_empty() { "" } else { "- " };
            summary += &format!("{mark}[{title}]({place})\n");
            copy_chapter(Path::new(document), Path::new(place), &folder.join("src"))?;
        }
    }
    summary += "\n# Interfaces\n\n- [C and C++](interfaces/c.md)\n- [Rust](interfaces/rust.md)\n";
    let interfaces = [
        (
            "c",
            "C and C++ interface",
            "../c/index.html",
            "The pages of `tteview.h` and `tteview.hpp`",
        ),
        (
            "rust",
            "Rust interface",
            "../rust/tteview/index.html",
            "The pages of the crate `tteview`",
        ),
    ];
    for (name, title, link, what) in interfaces {
        let text = format!("# {title}\n\n[{what}]({link}) have their own search.\n");
        write_file(&folder.join("src/interfaces").join(name).with_extension("md"), &text)?;
    }
    write_file(&folder.join("src/SUMMARY.md"), &summary)?;
    write_file(
        &folder.join("book.toml"),
        CONFIG.replace("REPOSITORY", env!("CARGO_PKG_REPOSITORY")),
    )?;
    write_file(&folder.join("style.css"), STYLE)?;
    run(command(find_mdbook()?, ["build", "--dest-dir"]).arg(site).arg(&folder))
}

/// Copies a document, adapts its links to the book, and copies its images.
fn copy_chapter(document: &Path, place: &Path, folder: &Path) -> Result {
    let text = read_text(&root().join(document))?;
    let mut images = Vec::new();
    let text = map_links(&text, |link| adapt_link(link, document, place, &mut images));
    for (from, to) in images {
        copy_file(&root().join(from), &folder.join(to))?;
    }
    write_file(&folder.join(place), &text)
}

/// Replaces the target of every link and image outside code with the result of `map`.
fn map_links(text: &str, mut map: impl FnMut(&str) -> String) -> String {
    let mut is_code = false;
    let mut mapped = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        let mut parts = line.split("](");
        mapped += parts.next().unwrap_or_default();
        for part in parts {
            mapped += "](";
            match part.split_once(')') {
                Some((link, _)) if !is_code => mapped += &format!("{})", map(link)),
                _ => {
                    mapped += part;
                    continue;
                }
            }
            mapped += part.split_once(')').map_or("", |(_, rest)| rest);
        }
        mapped.push('\n');
    }
    mapped
}

/// Adapts a link in `document` so that it leads from the chapter at `place` to the same target. If
/// the target is an image, the function adds the image's paths in the repository and in the book to
/// `images`.
fn adapt_link(
    link: &str,
    document: &Path,
    place: &Path,
    images: &mut Vec<(PathBuf, PathBuf)>,
) -> String {
    if link.contains("://") || link.starts_with('#') {
        return link.into();
    }
    let (path, anchor) = link
        .split_once('#')
        .map_or((link, String::new()), |(path, anchor)| (path, format!("#{anchor}")));
    let target = normalise_path(&document.parent().unwrap_or(Path::new("")).join(path));
    let chapters = PARTS.iter().flat_map(|(_, chapters)| chapters.iter());
    for (_, source, chapter) in chapters {
        if target == Path::new(source) {
            return format!("{}{anchor}", relative(place, Path::new(chapter)));
        }
    }
    let is_image = target.extension().is_some_and(|end| end == "svg" || end == "png");
    if is_image {
        let image = Path::new("images").join(target.file_name().unwrap_or_default());
        let link = relative(place, &image);
        images.push((target, image));
        return link;
    }
    repository_url(&target)
}

/// Returns the relative path from one file of the book to another.
fn relative(from: &Path, to: &Path) -> String {
    let depth = from.components().count() - 1;
    format!("{}{}", "../".repeat(depth), to.display())
}

/// Returns the URL of a file in the repository.
fn repository_url(file: &Path) -> String {
    let kind = if root().join(file).is_dir() { "tree" } else { "blob" };
    format!("{}/{kind}/main/{}", env!("CARGO_PKG_REPOSITORY"), file.display())
}

/// Returns the path of mdBook. The first call installs mdBook below the target directory.
fn find_mdbook() -> Result<PathBuf> {
    let folder = work_dir().join(format!("mdbook-{MDBOOK}"));
    let program = folder.join("bin/mdbook");
    if !program.exists() {
        let install = "install mdbook --locked --no-default-features --features search --version";
        run(cargo(install).arg(MDBOOK).arg("--root").arg(&folder))?;
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapt(link: &str, document: &str, place: &str) -> String {
        adapt_link(link, Path::new(document), Path::new(place), &mut Vec::new())
    }

    #[test]
    fn links_lead_to_chapters_images_and_the_repository() {
        let adapt_quick_start =
            |link| adapt(link, "docs/host/quick-start.md", "host/quick-start.md");
        assert_eq!(adapt_quick_start("results.md#query"), "../host/results.md#query");
        assert_eq!(adapt_quick_start("../../training/README.md"), "../model/training.md");
        assert_eq!(adapt_quick_start("https://example.org/a.md"), "https://example.org/a.md");
        assert!(
            adapt_quick_start("../../include/tteview/tteview.h")
                .ends_with("/blob/main/include/tteview/tteview.h")
        );
        assert_eq!(adapt("docs/demo.svg", "README.md", "index.md"), "images/demo.svg");
    }

    #[test]
    fn links_in_code_are_unchanged() {
        let text = "[a](b) and [c](d).\n```\n[e](f)\n```\n";
        assert_eq!(
            map_links(text, |link| link.to_uppercase()),
            "[a](B) and [c](D).\n```\n[e](f)\n```\n"
        );
    }

    #[test]
    fn every_document_is_a_chapter() {
        let is_chapter = |file: &Path| {
            PARTS
                .iter()
                .flat_map(|(_, chapters)| chapters.iter())
                .any(|(_, source, _)| file == Path::new(source))
        };
        let mut open = vec![root().join("docs")];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else if path.extension().is_some_and(|end| end == "md") {
                    let file = path.strip_prefix(root()).unwrap();
                    assert!(is_chapter(file), "{} is in no part of the guide", file.display());
                }
            }
        }
    }
}
