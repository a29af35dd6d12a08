//! A page that shows cines with their labels: one HTML file that loads nothing from the network.
//!
//! | module | contents |
//! | --- | --- |
//! | `entry` | the entry of one cine |
//! | `cine_loop`, `thumbnail` | its loop |
//! | `timeline` | its label over time |

mod cine_loop;
mod entry;
mod thumbnail;
mod timeline;

pub(crate) use cine_loop::LoopBuilder;
pub(crate) use entry::{render_cine, render_error};

use crate::failure::Failure;
use crate::html::escape;
use crate::output_file::OutputFile;
use crate::terminal::{escape_controls, escape_name};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tteview::Engine;

const STYLE: &str = include_str!("page/page.css");

/// The script that sorts and filters the entries. The page can be read without it.
const SCRIPT: &str = include_str!("page/page.js");

/// The SHA-256 of the script, which is the only one that the browser runs.
const SCRIPT_HASH: &str = "t1UiqT+VsS4DEwHRSISYNKcfOqtMxIMuFgXij4BfVbQ=";

/// The page, which is written entry by entry.
pub(crate) struct Page {
    file: OutputFile,
    path: PathBuf,
}

impl Page {
    /// Creates the file and writes the beginning of the page.
    ///
    /// # Errors
    /// Returns a failure if the file cannot be written.
    pub(crate) fn create(path: &Path, engine: &Engine) -> Result<Self, Failure> {
        let mut page = Self { file: OutputFile::create(path)?, path: path.to_owned() };
        let model = escape(&escape_controls(&engine.spec().model_version));
        page.write(&format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{SCRIPT_HASH}'; \
             base-uri 'none'; form-action 'none'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>tteview: views of echo cines</title>\n<style>\n{STYLE}</style>\n</head>\n\
             <body>\n\
             <header><h1>Views of echo cines</h1><p>Model {model}, tteview {}</p></header>\n{TOOLS}\
             <main class=\"cines\">\n",
            env!("CARGO_PKG_VERSION")
        ))?;
        Ok(page)
    }

    /// Adds an entry.
    pub(crate) fn add(&mut self, entry: &str) -> Result<(), Failure> {
        self.write(entry)
    }

    /// Writes the summary and completes the file. `counts` are numbers with their class and name,
    /// `notes` are further lines, and `views` are codes of views with their numbers of cines.
    pub(crate) fn finish(
        mut self,
        counts: &[(&str, &str, usize)],
        notes: &[String],
        views: &[(String, usize)],
    ) -> Result<(), Failure> {
        let mut summary = "</main>\n<section class=\"summary\"><ul class=\"counts\">".to_owned();
        for (class, name, count) in counts {
            summary += &format!("<li class=\"{class}\"><b>{count}</b>{name}</li>");
        }
        summary += "</ul>";
        for note in notes {
            summary += &format!("<p>{}</p>", escape(&escape_controls(note)));
        }
        if !views.is_empty() {
            summary += "<ul class=\"views\">";
            for (code, count) in views {
                summary += &format!("<li>{} {count}</li>", escape(&escape_name(code)));
            }
            summary += "</ul>";
        }
        summary += "</section>\n";
        self.write(&format!("{summary}{FOOTER}<script>{SCRIPT}</script>\n</body>\n</html>\n"))?;
        let Self { file, path } = self;
        file.commit().map_err(|error| Failure::file(&path, error))
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|error: io::Error| Failure::file(&self.path, error))
    }
}

/// The controls. Those that need the script are hidden until it runs.
const TOOLS: &str = "<div class=\"tools\">\
<label hidden>Sort by <select id=\"order\"><option value=\"given\">order of the files</option>\
<option value=\"file\">file name</option><option value=\"view\">view</option>\
<option value=\"group\">group</option><option value=\"low\">confidence, lowest first</option>\
<option value=\"high\">confidence, highest first</option></select></label>\
<label hidden>Show <select id=\"state\"><option value=\"all\">all</option>\
<option value=\"given\">with a label</option><option value=\"withheld\">withheld</option>\
<option value=\"failed\">unreadable</option><option value=\"warned\">with warnings</option>\
</select></label>\
<label hidden>Find <input type=\"search\" id=\"text\" placeholder=\"file, view, group\"></label>\
<label><input type=\"checkbox\" id=\"still\"> Stop the loops</label>\
<span id=\"shown\" role=\"status\"></span></div>\n";

/// What the reader must know to read the entries.
const FOOTER: &str = "<footer>The loop shows the part of the image that the model sees, for at \
most two seconds. The strip under it shows the label so far: its height is the confidence, and grey \
means that the label was withheld.</footer>\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::encode_base64;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_policy_allows_exactly_the_script_of_the_page() {
        assert_eq!(encode_base64(&Sha256::digest(SCRIPT)), SCRIPT_HASH);
    }
}
