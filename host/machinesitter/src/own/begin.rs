//! What an agent that starts does with the tasks that are the machine's own.

use super::{Wish, act, may_run};
use crate::agent::Agent;
use crate::disk::{DiskError, read};
use cerebro_api::machine::Wanted;
use cerebro_model::EventKind;
use std::sync::Arc;

/// What to do with a task that an agent finds when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// It was to run, and goes on.
    GoOn,
    /// The machine has booted, and it is to be started then.
    Start,
    /// It is to rest, but may not have come to.
    Stop,
    /// Nothing.
    Rest,
}

/// `wish` is what was asked for last; none if nobody ever asked.
fn judge(wish: Option<&Wish>, boot: &str, auto_start: bool, may_run: bool) -> Found {
    match wish {
        Some(wish) if wish.boot == boot => match wish.wanted {
            Wanted::Started => Found::GoOn,
            Wanted::Stopped if may_run => Found::Stop,
            Wanted::Stopped => Found::Rest,
        },
        _ if auto_start => Found::Start,
        _ => Found::Rest,
    }
}

/// Reads all definitions, and has each task be as it was asked for; answers how many go on.
pub fn begin(agent: &Arc<Agent>) -> Result<usize, DiskError> {
    let (tasks, set_aside) = agent.own.definitions.load()?;
    for bad in set_aside {
        let message =
            format!("a task's definition is set aside as `{}`: {}", bad.file.display(), bad.why);
        agent.tell_of_machine(EventKind::DefinitionSetAside, message);
    }
    let mut found = 0;
    for task in tasks {
        let (name, auto_start) = (task.name.clone(), task.auto_start);
        let dir = agent.own.dir(&name);
        // What cannot be read was not asked for.
        let wish: Option<Wish> = read(&dir.join("wanted.json")).unwrap_or_default();
        let what = judge(wish.as_ref(), &agent.boot, auto_start, may_run(&dir, &agent.boot));
        let runs = matches!(what, Found::GoOn | Found::Start);
        agent.own.insert(task, if runs { Wanted::Started } else { Wanted::Stopped });
        match what {
            // It may have crashed before the task was begun.
            Found::GoOn if dir.join("spec.json").exists() => {
                found += 1;
                act::follow(agent, &name, true);
            }
            Found::GoOn | Found::Start => {
                let agent = agent.clone();
                tokio::spawn(async move { report(&name, act::start(&agent, &name).await) });
            }
            Found::Stop => {
                let agent = agent.clone();
                tokio::spawn(async move { report(&name, act::stop(&agent, &name).await) });
            }
            Found::Rest => {}
        }
    }
    Ok(found)
}

fn report(name: &str, done: Result<(), act::OwnError>) {
    if let Err(error) = done {
        tracing::error!(name, %error, "a task is not as it was asked for");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wish_outlives_the_agent_and_auto_start_decides_after_a_boot() {
        let wish = |wanted, boot: &str| Wish { wanted, boot: boot.to_owned() };
        let (started, stopped) = (wish(Wanted::Started, "b"), wish(Wanted::Stopped, "b"));
        for auto_start in [false, true] {
            assert_eq!(judge(Some(&started), "b", auto_start, true), Found::GoOn);
            assert_eq!(judge(Some(&stopped), "b", auto_start, false), Found::Rest);
            assert_eq!(judge(Some(&stopped), "b", auto_start, true), Found::Stop);
        }
        for before in [Some(&started), Some(&stopped), None] {
            assert_eq!(judge(before, "c", true, false), Found::Start);
            assert_eq!(judge(before, "c", false, false), Found::Rest);
        }
    }
}
