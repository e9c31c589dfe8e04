//! `moneta apply`: makes an installation as files declare it, after showing what that changes.
//!
//! It makes and changes what the files name, and nothing else: what no file names stays as it is, and nothing is ever
//! removed. What stands as declared already is not touched, so a second run changes nothing.

mod declared;
mod state;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use self::declared::{Declared, Wanted};
use self::state::State;
use super::{objects, retention, rules, store};
use crate::arguments::Global;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::output::visible;
use crate::target::{Missing, Target};

/// Make functions, saved queries, watchlists, rules, holds and retention as files declare them.
#[derive(Debug, Args)]
pub struct Apply {
    /// Declarations (*.toml) and rule files (*.yml, *.yaml), and directories of them.
    #[arg(long = "file", short, required = true, value_name = "FILE|DIR")]
    files: Vec<PathBuf>,
    /// Show what would change and change nothing; 1 when something would.
    #[arg(long)]
    dry_run: bool,
    /// Really, when a smaller number of days drops what is kept now.
    #[arg(long, short)]
    yes: bool,
}

/// What stands otherwise than declared.
struct Change<'a> {
    wanted: &'a Wanted,
    /// The text of what is there now; `None` when nothing is.
    now: Option<String>,
}

impl Apply {
    /// Does it; negative when a rule does not load, or when something would change and nothing was to.
    ///
    /// # Errors
    /// When a file is wrong, something is refused, or the store cannot be used.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        let declared = declared::read(&self.files)?;
        let missing = if self.dry_run { Missing::Refuse } else { Missing::Create };
        let target = Target::open(global, missing).await?;
        let outcome = self.run_on(&target, &declared, console).await;
        let closed = target.close().await;
        let exit = outcome?;
        closed.map(|()| exit)
    }

    async fn run_on(&self, target: &Target, declared: &Declared, console: &Console) -> Result<Exit, Failure> {
        let state = State::read(target, declared).await?;
        let mut changes = Vec::new();
        for wanted in &declared.wanted {
            let now = state.text(wanted);
            if now.as_deref() != Some(wanted.text().as_str()) {
                changes.push(Change { wanted, now });
            }
        }
        self.check(&changes)?;
        let unchanged = declared.wanted.len() - changes.len();
        let applied = !self.dry_run;
        if console.json {
            let list: Vec<Value> = changes.iter().map(Change::json).collect();
            console.value(&json!({ "changes": list, "unchanged": unchanged, "applied": applied }))?;
        } else {
            changes.iter().try_for_each(|change| change.print(console))?;
            let made = changes.iter().filter(|change| change.now.is_none()).count();
            let (to_make, to_change) = if applied { ("made", "changed") } else { ("to make", "to change") };
            let (made, changed) = (format!("{made} {to_make}"), format!("{} {to_change}", changes.len() - made));
            console.line(&format!("{made}, {changed}, {unchanged} as declared"))?;
        }
        for problem in &declared.problems {
            console.complain(&visible(problem));
        }
        if self.dry_run {
            return Ok(Exit::negative_unless(changes.is_empty() && declared.problems.is_empty()));
        }
        carry_out(target, &changes, console).await
    }

    /// Refuses what must not happen by the way, before anything changes.
    fn check(&self, changes: &[Change<'_>]) -> Result<(), Failure> {
        for Change { wanted, now } in changes {
            match (wanted, now) {
                (Wanted::Hold { name, .. }, Some(_)) => {
                    let advice = "release it with a reason (`moneta store release`), then apply again";
                    let said = format!("the hold {name} is in force in another form, and a hold is not changed");
                    return Err(Failure::usage(said).advise(advice));
                }
                (Wanted::Retention { table, days }, Some(now))
                    if !self.yes && !self.dry_run && now.parse::<u32>().is_ok_and(|now| *days < now) =>
                {
                    let said = format!("{table} is kept longer now; its older days would be dropped for good");
                    return Err(Failure::usage(said).advise("add --yes if that is meant"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Change<'_> {
    fn print(&self, console: &Console) -> std::io::Result<()> {
        let sign = if self.now.is_some() { '~' } else { '+' };
        console.line(&visible(&format!("{sign} {} {}", self.wanted.kind(), self.wanted.name())))?;
        self.lines().iter().try_for_each(|line| console.line(&format!("    {}", visible(line))))
    }

    fn json(&self) -> Value {
        let action = if self.now.is_some() { "change" } else { "make" };
        json!({ "kind": self.wanted.kind(), "name": self.wanted.name(), "action": action, "diff": self.lines() })
    }

    fn lines(&self) -> Vec<String> {
        difference(self.now.as_deref().unwrap_or_default(), &self.wanted.text())
    }
}

/// The lines that go (`- `) and those that come (`+ `) between the equal beginnings and ends of two texts.
fn difference(old: &str, new: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same_start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - same_start;
    let same_end = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let gone = old[same_start..old.len() - same_end].iter().map(|line| format!("- {line}"));
    let come = new[same_start..new.len() - same_end].iter().map(|line| format!("+ {line}"));
    gone.chain(come).collect()
}

/// Makes the changes: what rules and queries may name first, holds before a retention that drops.
async fn carry_out(target: &Target, changes: &[Change<'_>], console: &Console) -> Result<Exit, Failure> {
    put_functions(target, changes).await?;
    let mut rule_files = Vec::new();
    for Change { wanted, .. } in changes {
        match wanted {
            Wanted::Function { .. } | Wanted::Retention { .. } => {}
            Wanted::Query(query) => objects::save_query(target, query).await?,
            Wanted::Watchlist(upload) => objects::put_watchlist(target, upload).await?,
            Wanted::Rules { file, .. } => rule_files.push(file.clone()),
            Wanted::Hold { name, request } => store::place_hold(target, name, request).await?,
        }
    }
    for Change { wanted, .. } in changes {
        if let Wanted::Retention { table, days } = wanted {
            retention::put(target, table, Some(*days)).await?;
        }
    }
    if rule_files.is_empty() {
        return Ok(Exit::Success);
    }
    let report = rules::add_files(target, rule_files).await?;
    let complained = rules::complain(&report, console);
    Ok(Exit::negative_unless(!complained))
}

/// Functions may call each other, in whatever order they are declared: those that do not bind yet are tried again as long
/// as others could be stored.
async fn put_functions(target: &Target, changes: &[Change<'_>]) -> Result<(), Failure> {
    let mut open: Vec<&Wanted> = changes.iter().map(|change| change.wanted).collect();
    loop {
        let (before, mut left, mut failure) = (open.len(), Vec::new(), None);
        for wanted in open {
            let Wanted::Function { function, skip_validation } = wanted else { continue };
            if let Err(error) = objects::put_function(target, function, *skip_validation).await {
                left.push(wanted);
                failure = failure.or(Some(error));
            }
        }
        match failure {
            None => return Ok(()),
            Some(failure) if left.len() == before => return Err(failure),
            Some(_) => open = left,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown() {
        let check = |old: &str, new: &str, expected: &[&str]| assert_eq!(difference(old, new), expected, "{old} {new}");
        check("a\nb\nc", "a\nx\nc", &["- b", "+ x"]);
        check("", "a\nb", &["+ a", "+ b"]);
        check("a\na", "a", &["- a"]);
        check("a\nb", "a\nb", &[]);
    }
}
