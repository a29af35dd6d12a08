//! `tteview completions` and `tteview man`.

use crate::failure::Failure;
use crate::output::{print_line, print_text};
use crate::output_file::{create_folder, write_file};
use crate::terminal::escape_path;
use clap::{Args, Command};
use clap_complete::Shell;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Shell for which the script is printed
    shell: Shell,
}

impl Completions {
    /// Prints the script that completes the arguments of `command`.
    pub(crate) fn run(self, mut command: Command) -> Result<(), Failure> {
        let name = command.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        print_text(&String::from_utf8_lossy(&script))
    }
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Folder for the pages
    #[arg(short, long, value_name = "FOLDER")]
    out: PathBuf,
}

impl Man {
    /// Writes a manual page for `command` and for each of its subcommands.
    pub(crate) fn run(self, command: Command) -> Result<(), Failure> {
        create_folder(&self.out)?;
        let name = command.get_name().to_owned();
        let mut left = vec![(name, command)];
        let mut pages = 0;
        while let Some((name, command)) = left.pop() {
            for part in command.get_subcommands().filter(|part| part.get_name() != "help") {
                left.push((format!("{name}-{}", part.get_name()), part.clone()));
            }
            let path = self.out.join(format!("{name}.1"));
            let mut page = Vec::new();
            clap_mangen::Man::new(command.display_name(name.clone()))
                .title(name)
                .render(&mut page)
                .map_err(|error| Failure::file(&path, error))?;
            write_file(&path, &page)?;
            pages += 1;
        }
        print_line(&format!("{}: {pages} pages", escape_path(&self.out)))
    }
}
