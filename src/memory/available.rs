//! The memory that the system can still give to this process: the available memory of the machine,
//! and what the limits of the process's control groups leave.
//!
//! Control groups are those of Linux, versions 1 and 2. The functions read small files into
//! buffers on the stack and allocate nothing, because they run when memory may be short.

use crate::fixed_text::FixedText;
use std::fmt::Write;
use std::fs::File;
use std::io::Read;

/// Size of the buffer for a file. `/proc/meminfo` has 1.5 kB, and its first lines are the ones that
/// are needed.
const FILE_BYTES: usize = 8192;

/// Maximum length of a path, including the folder of a control group.
const PATH_BYTES: usize = 1024;

/// Limits at least this large mean that a control group of version 1 has no limit.
const NO_LIMIT: usize = 1 << 60;

type FileText = FixedText<FILE_BYTES>;
type PathText = FixedText<PATH_BYTES>;

/// Names of the files of a control group.
struct GroupFiles {
    /// Folder in which the groups are mounted.
    mount: &'static str,
    limit: &'static str,
    usage: &'static str,
    /// Key in `memory.stat` of the file pages that the system can drop.
    droppable: &'static str,
}

const VERSION_1: GroupFiles = GroupFiles {
    mount: "/sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    droppable: "total_inactive_file",
};

const VERSION_2: GroupFiles = GroupFiles {
    mount: "/sys/fs/cgroup",
    limit: "memory.max",
    usage: "memory.current",
    droppable: "inactive_file",
};

/// Returns the number of bytes that are available, or `None` on systems that do not tell.
pub(super) fn read_available_bytes() -> Option<usize> {
    read_available_below("")
}

/// Returns the available bytes according to the files below `root`.
fn read_available_below(root: &str) -> Option<usize> {
    let meminfo = read_file(root, format_args!("/proc/meminfo"));
    let machine = meminfo.as_ref().and_then(|text| find_number(text.as_str(), "MemAvailable:"));
    let machine = machine.map(|kib| kib.saturating_mul(1024));
    let groups = read_file(root, format_args!("/proc/self/cgroup"));
    let groups = groups.as_ref().map_or("", FileText::as_str);
    let limits = groups.lines().filter_map(|line| {
        // A line is `number:controllers:path`. The number is 0 and the list of controllers is empty
        // for version 2.
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        if controllers.is_empty() {
            return find_smallest_rest(root, &VERSION_2, path);
        }
        let is_memory = controllers.split(',').any(|controller| controller == "memory");
        is_memory.then(|| find_smallest_rest(root, &VERSION_1, path)).flatten()
    });
    limits.chain(machine).min()
}

/// Returns the smallest number of bytes that a control group or one of its ancestors leaves, or
/// `None` if none of them has a limit.
fn find_smallest_rest(root: &str, files: &GroupFiles, path: &str) -> Option<usize> {
    let mut path = path.trim_end_matches('/');
    let mut smallest = None;
    loop {
        let rest = read_rest(root, files, path);
        smallest = smallest.into_iter().chain(rest).min();
        if path.is_empty() {
            return smallest;
        }
        path = path.rfind('/').and_then(|end| path.get(..end)).unwrap_or_default();
    }
}

/// Returns the number of bytes that the limit of one control group leaves.
fn read_rest(root: &str, files: &GroupFiles, path: &str) -> Option<usize> {
    let GroupFiles { mount, limit, usage, droppable } = files;
    let read = |name: &str| read_file(root, format_args!("{mount}{path}/{name}"));
    let limit: usize = read(limit)?.as_str().trim().parse().ok()?;
    if limit >= NO_LIMIT {
        return None;
    }
    let usage: usize = read(usage)?.as_str().trim().parse().ok()?;
    let stat = read("memory.stat");
    let droppable = stat.as_ref().and_then(|text| find_number(text.as_str(), droppable));
    Some(limit.saturating_sub(usage.saturating_sub(droppable.unwrap_or(0))))
}

/// Returns the number that follows a key at the beginning of a line.
fn find_number(text: &str, key: &str) -> Option<usize> {
    let mut words = text.lines().map(str::split_ascii_whitespace);
    let mut line = words.find_map(|mut line| (line.next() == Some(key)).then_some(line))?;
    line.next()?.parse().ok()
}

/// Reads the beginning of a file.
fn read_file(root: &str, path: std::fmt::Arguments<'_>) -> Option<FileText> {
    let mut name = PathText::new();
    write!(name, "{root}{path}").ok()?;
    let mut file = File::open(name.as_str()).ok()?;
    let mut text = FileText::new();
    text.fill_from(|buffer| file.read(buffer)).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Creates a folder with these files and returns the available bytes in it.
    fn read(name: &str, files: &[(&str, &str)]) -> Option<usize> {
        let root = std::env::temp_dir().join(format!("tteview-{name}-{}", std::process::id()));
        for (path, text) in files {
            let path = root.join(Path::new(path));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let available = read_available_below(root.to_str().unwrap());
        std::fs::remove_dir_all(&root).unwrap();
        available
    }

    const MEMINFO: (&str, &str) =
        ("proc/meminfo", "MemTotal: 8000 kB\nMemFree: 10 kB\nMemAvailable:    4000 kB\n");

    #[test]
    fn a_machine_without_groups_has_its_available_memory() {
        assert_eq!(read("machine", &[MEMINFO]), Some(4_096_000));
        let endless = [
            MEMINFO,
            ("proc/self/cgroup", "0::/a\n"),
            ("sys/fs/cgroup/a/memory.max", "max\n"),
            ("sys/fs/cgroup/a/memory.current", "5\n"),
        ];
        assert_eq!(read("endless", &endless), Some(4_096_000));
        assert_eq!(read("nothing", &[("proc/other", "")]), None);
    }

    #[test]
    fn an_ancestor_with_a_smaller_rest_limits_the_group() {
        let files = [
            MEMINFO,
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/memory.max", "2000000\n"),
            ("sys/fs/cgroup/a/memory.current", "1500000\n"),
            ("sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 300000\nactive_file 5\n"),
        ];
        assert_eq!(read("ancestor", &files), Some(800_000));
    }

    #[test]
    fn a_group_of_version_1_counts_without_its_droppable_pages() {
        let files = [
            MEMINFO,
            ("proc/self/cgroup", "12:cpu,cpuacct:/x\n4:memory:/a\n"),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1000000\n"),
            ("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "900000\n"),
            ("sys/fs/cgroup/memory/a/memory.stat", "inactive_file 1\ntotal_inactive_file 100000\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "9000000\n"),
        ];
        assert_eq!(read("version-1", &files), Some(200_000));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_tells_its_available_memory() {
        assert!(read_available_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
