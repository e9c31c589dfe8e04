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
    /// Whether it has come about.
    is_done: bool,
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
                changes.push(Change { wanted, now, is_done: false });
            }
        }
        self.check(&changes)?;
        if !console.json {
            changes.iter().try_for_each(|change| change.print(console))?;
        }
        declared.problems.iter().for_each(|line| console.complain(line));
        let is_good = changes.is_empty() && declared.problems.is_empty();
        let outcome = match self.dry_run {
            true => Ok(Exit::negative_unless(is_good)),
            false => carry_out(target, &mut changes, console).await,
        };
        // Also when something failed on the way: what came about before it stays.
        let told = self.summarise(&changes, declared.wanted.len() - changes.len(), console);
        let exit = outcome?;
        told?;
        Ok(exit)
    }

    /// Says what came about, or would.
    fn summarise(&self, changes: &[Change<'_>], unchanged: usize, console: &Console) -> std::io::Result<()> {
        let (done, left): (Vec<&Change<'_>>, Vec<&Change<'_>>) =
            changes.iter().partition(|change| change.is_done || self.dry_run);
        if console.json {
            let list: Vec<Value> = changes.iter().map(Change::json).collect();
            let applied = !self.dry_run && left.is_empty();
            return console.value(&json!({ "changes": list, "unchanged": unchanged, "applied": applied }));
        }
        let made = done.iter().filter(|change| change.now.is_none()).count();
        let (to_make, to_change) = if self.dry_run { ("to make", "to change") } else { ("made", "changed") };
        let (made, changed) = (format!("{made} {to_make}"), format!("{} {to_change}", done.len() - made));
        let left = if left.is_empty() { String::new() } else { format!(", {} not done", left.len()) };
        console.line(&format!("{made}, {changed}, {unchanged} as declared{left}"))
    }

    /// Refuses what must not happen by the way, before anything changes.
    fn check(&self, changes: &[Change<'_>]) -> Result<(), Failure> {
        for Change { wanted, now, .. } in changes {
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
        let (kind, name) = (self.wanted.kind(), self.wanted.name());
        json!({ "kind": kind, "name": name, "action": action, "diff": self.lines(), "done": self.is_done })
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

/// Makes the changes, and notes of each that it is made: what rules and queries may name first, holds before a retention
/// that drops.
async fn carry_out(target: &Target, changes: &mut [Change<'_>], console: &Console) -> Result<Exit, Failure> {
    put_functions(target, changes).await?;
    for change in &mut *changes {
        match change.wanted {
            Wanted::Function { .. } | Wanted::Retention { .. } | Wanted::Rules { .. } => continue,
            Wanted::Query(query) => objects::save_query(target, query).await?,
            Wanted::Watchlist(upload) => objects::put_watchlist(target, upload).await?,
            Wanted::Hold { name, request } => store::place_hold(target, name, request).await?,
        }
        change.is_done = true;
    }
    for change in &mut *changes {
        if let Wanted::Retention { table, days } = change.wanted {
            retention::put(target, table, Some(*days)).await?;
            change.is_done = true;
        }
    }
    add_rules(target, changes, console).await
}

/// Adds the rules, all at once: they may refer to each other.
async fn add_rules(target: &Target, changes: &mut [Change<'_>], console: &Console) -> Result<Exit, Failure> {
    let file_of = |wanted: &Wanted| if let Wanted::Rules { file, .. } = wanted { Some(file.clone()) } else { None };
    let files: Vec<_> = changes.iter().filter_map(|change| file_of(change.wanted)).collect();
    if files.is_empty() {
        return Ok(Exit::Success);
    }
    let texts = rules::texts_of(&files);
    let report = rules::add_files(target, files).await?;
    let refused: Vec<&Value> =
        report["not_loaded"].as_array().into_iter().flatten().map(|rule| &rule["file"]).collect();
    for change in changes {
        change.is_done |= file_of(change.wanted).is_some_and(|file| !refused.contains(&&Value::from(file.name)));
    }
    let complained = rules::complain(&report, &texts, console);
    Ok(Exit::negative_unless(!complained))
}

/// Functions may call each other, in whatever order they are declared: those that do not bind yet are tried again as long
/// as others could be stored.
async fn put_functions(target: &Target, changes: &mut [Change<'_>]) -> Result<(), Failure> {
    let mut num_open = changes.len();
    loop {
        let (mut num_left, mut failure) = (0, None);
        for change in changes.iter_mut().filter(|change| !change.is_done) {
            let Wanted::Function { function, skip_validation } = change.wanted else { continue };
            match objects::put_function(target, function, *skip_validation).await {
                Ok(()) => change.is_done = true,
                Err(error) => {
                    num_left += 1;
                    failure = failure.or(Some(error));
                }
            }
        }
        match failure {
            None => return Ok(()),
            Some(failure) if num_left == num_open => return Err(failure),
            Some(_) => num_open = num_left,
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
