//! What the journal and the recording add to a release: the same agent with them and without, in turn.

use super::contender::Contender;
use super::setting::Setting;
use super::{Accounted, resident, web::Web};
use anyhow::{Context, Result};
use cerebro_bench::cgroup::Hierarchies;
use cerebro_bench::statistics::{median, ratio};
use cerebro_bench::table::{Table, figure};
use std::path::Path;

/// Runs with nothing to do, behind each from nothing.
const AGAIN: usize = 20;

/// What one of the two took, in ms: from nothing, and with nothing to do.
#[derive(Default)]
struct Figures([Vec<(f64, f64)>; 2]);

/// Measures the two, the one first and then the other, round after round.
pub fn measure(component: &Path, rounds: usize) -> Result<Table> {
    let setting = Setting::new()?;
    let web = Web::start(setting.archive().to_vec())?;
    let group = Accounted(Hierarchies::detect()?.create("journal")?);
    let log = setting.state().join("journal.log");
    let without = setting.environment(web.port());
    let on = (resident::JOURNAL.to_owned(), "on".to_owned());
    let with: Vec<_> = without.iter().cloned().chain([on]).collect();
    let mut figures = [Figures::default(), Figures::default()];
    for round in 1..=rounds {
        eprintln!("  round {round} of {rounds}: the journal");
        // New ones each time: where a process lies in memory makes more of a difference than what is
        // measured, for as long as it lives.
        let mut agents = [
            Contender::resident("without", component, &without, &log, &group.0)?,
            Contender::resident("with", component, &with, &log, &group.0)?,
        ];
        let mut make = |at: usize, figures: Option<&mut Vec<(f64, f64)>>| {
            let took = agents[at].make(&group.0, &log);
            let said = || std::fs::read_to_string(&log).unwrap_or_default();
            let took = took.with_context(|| format!("{}:\n{}", agents[at].name, said()))?;
            setting.verify()?;
            if let Some(figures) = figures {
                figures.push(took);
            }
            anyhow::Ok(())
        };
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for first in order {
            setting.clear()?;
            make(first, None)?;
        }
        for first in order {
            setting.clear()?;
            make(first, Some(&mut figures[first].0[0]))?;
            for _ in 0..AGAIN {
                for at in order {
                    make(at, Some(&mut figures[at].0[1]))?;
                }
            }
        }
    }
    Ok(table(&figures))
}

fn table(figures: &[Figures; 2]) -> Table {
    let mut table = Table::new(
        "What the journal adds",
        format!(
            "The same release by the same agent, with its journal and its recording and without, the \
             one first and then the other; {AGAIN} times with nothing to do by each behind each from \
             nothing. Medians in ms."
        ),
        &["release", "runs", "without", "with", "ratio", "CPU without", "CPU with", "ratio"],
    );
    for (at, name) in ["cold", "nothing to do"].into_iter().enumerate() {
        let [without, with] = figures;
        let runs = with.0[at].len();
        let of = |figures: &Figures, which: fn(&(f64, f64)) -> f64| {
            median(&figures.0[at].iter().map(which).collect::<Vec<_>>())
        };
        let mut cells = vec![runs.to_string()];
        for which in [|run: &(f64, f64)| run.0, |run: &(f64, f64)| run.1] {
            let (without, with) = (of(without, which), of(with, which));
            let cell = [figure(without, 2), figure(with, 2), figure(ratio(with, without), 3)];
            cells.extend(cell);
        }
        table.row(name, cells);
    }
    table
}
