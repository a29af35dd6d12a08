//! A step of `cargo xtask test`, and the selection of steps.

use crate::process::Result;

/// A check or a group of tests that can run by itself.
#[derive(Clone, Copy)]
pub(super) struct Step {
    /// The name on the command line and in the closing table.
    pub(super) name: &'static str,
    /// A summary of what the step covers, for the usage message.
    pub(super) summary: &'static str,
    /// Whether the quick test includes the step.
    pub(super) is_quick: bool,
    /// Function that returns the reason why the step cannot run on this machine, or `None` if it
    /// can.
    pub(super) explain_skip: fn() -> Option<String>,
    pub(super) run: fn() -> Result,
}

impl Step {
    /// Returns a step of the quick test.
    pub(super) const fn quick(
        name: &'static str,
        summary: &'static str,
        run: fn() -> Result,
    ) -> Self {
        Self { name, summary, is_quick: true, explain_skip: || None, run }
    }

    /// Returns a step that only the full test includes.
    pub(super) const fn full(
        name: &'static str,
        summary: &'static str,
        run: fn() -> Result,
    ) -> Self {
        Self { name, summary, is_quick: false, explain_skip: || None, run }
    }

    /// Skips the step on machines for which `explain_skip` returns a reason.
    pub(super) const fn skip_if(mut self, explain_skip: fn() -> Option<String>) -> Self {
        self.explain_skip = explain_skip;
        self
    }
}

/// The steps of a run.
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// The names of the steps that the quick test leaves out. The list is empty if the run is not
    /// the quick test.
    pub(super) left_out: Vec<&'static str>,
}

impl Plan {
    /// Selects the quick steps if there are no arguments, all steps for `--all`, and the named
    /// steps otherwise.
    pub(super) fn select(steps: &[Step], arguments: &[&str]) -> Result<Self> {
        match arguments {
            [] => {
                let (quick, full): (Vec<Step>, Vec<Step>) =
                    steps.iter().partition(|step| step.is_quick);
                Ok(Self { steps: quick, left_out: full.iter().map(|step| step.name).collect() })
            }
            ["--help"] => Err(list(steps)),
            ["--all"] => Ok(Self { steps: steps.to_vec(), left_out: Vec::new() }),
            names => {
                let is_known = |name: &&&str| steps.iter().any(|step| step.name == **name);
                if let Some(name) = names.iter().find(|name| !is_known(name)) {
                    return Err(format!(
                        "a step must be one of the following, got {name}\n{}",
                        list(steps)
                    ));
                }
                let steps =
                    steps.iter().filter(|step| names.contains(&step.name)).copied().collect();
                Ok(Self { steps, left_out: Vec::new() })
            }
        }
    }
}

/// Returns the usage message, which lists the steps and what they cover.
fn list(steps: &[Step]) -> String {
    let mut text = String::from("usage: cargo xtask test [--all | STEP...]\n");
    for step in steps {
        let scope = if step.is_quick { "" } else { " (not in the quick test)" };
        text += &format!("\n  {:<12}{}{scope}", step.name, step.summary);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[Step] = &[
        Step::quick("format", "a", || Ok(())),
        Step::full("loom", "b", || Ok(())),
        Step::quick("hosts", "c", || Ok(())),
    ];

    fn select(arguments: &[&str]) -> (Vec<&'static str>, Vec<&'static str>) {
        let plan = Plan::select(STEPS, arguments).unwrap();
        (plan.steps.iter().map(|step| step.name).collect(), plan.left_out)
    }

    #[test]
    fn quick_test_names_the_steps_that_it_leaves_out() {
        assert_eq!(select(&[]), (vec!["format", "hosts"], vec!["loom"]));
    }

    #[test]
    fn full_test_runs_every_step() {
        assert_eq!(select(&["--all"]), (vec!["format", "loom", "hosts"], vec![]));
    }

    #[test]
    fn named_steps_run_in_the_order_of_the_list() {
        assert_eq!(select(&["hosts", "loom"]), (vec!["loom", "hosts"], vec![]));
    }

    #[test]
    fn unknown_step_is_refused_with_the_list_of_steps() {
        let error = Plan::select(STEPS, &["format", "nothing"]).err().unwrap();
        assert!(error.contains("got nothing"), "{error}");
        assert!(error.contains("\n  loom        b (not in the quick test)"), "{error}");
        assert!(Plan::select(STEPS, &["--quick"]).is_err());
    }
}
