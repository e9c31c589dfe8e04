//! Fuzzing without coverage: a target is run over mutations of seeds that its own tests make, for a time or a number of
//! inputs. What is a good mutation is the tests' own; how long, on what stack, and what is a finding is the same for all.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use crate::Random;

/// The stack a target runs on, in bytes: what a thread of the server has.
const STACK_BYTES: usize = 2 * 1024 * 1024;
/// One mutation in so many lives on, so that changes add up.
const KEPT_ONE_IN: usize = 50;

/// How a target is run.
#[derive(Debug, Clone, Copy)]
pub struct Fuzz {
    /// Inputs tried when `FUZZ_SECONDS` gives no time.
    pub short_run: usize,
    /// Seeds that are tried as they are before anything is changed.
    pub whole_seeds: usize,
    /// Inputs that mutations are made of at most.
    pub seeds_max: usize,
    /// Processor time that the target may take for one input.
    pub time_max: Duration,
}

impl Fuzz {
    /// Runs a target over mutations of the seeds: for `FUZZ_SECONDS` of processor time, else over `short_run` inputs.
    /// `FUZZ_SEED` gives other inputs.
    ///
    /// # Panics
    /// When the target panics or takes too long; the input is kept in a file whose name the message has.
    pub fn run<T: AsRef<[u8]> + Clone + Send + 'static>(
        self,
        name: &str,
        mut seeds: Vec<T>,
        mutated: fn(&[T], &mut Random) -> T,
        target: impl Fn(&T, &mut Random) + Send + 'static,
    ) {
        let number = |variable: &str| {
            std::env::var(variable).ok().map(|text| text.parse::<u64>().expect("the variable is a number"))
        };
        let (seconds, mut random) = (number("FUZZ_SECONDS"), Random::new(number("FUZZ_SEED").unwrap_or(1)));
        let target_name = name.to_owned();
        let run = move || {
            let (started, mut count) = (Clock::now(), 0);
            loop {
                let is_done = match seconds {
                    Some(seconds) => started.elapsed().as_secs() >= seconds,
                    None => count >= self.short_run,
                };
                if is_done {
                    return (count, started.elapsed());
                }
                let is_whole = count < self.whole_seeds.min(seeds.len());
                let input = if is_whole { seeds[count].clone() } else { mutated(&seeds, &mut random) };
                self.try_target(&target_name, &input, &mut random, &target);
                count += 1;
                if random.chance(KEPT_ONE_IN) {
                    let at = random.below(seeds.len());
                    if seeds.len() < self.seeds_max { seeds.push(input) } else { seeds[at] = input }
                }
            }
        };
        let worker = std::thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(run);
        let worker = worker.expect("the system gives a thread");
        let (count, elapsed) = worker.join().unwrap_or_else(|cause| resume_unwind(cause));
        report(&format!("fuzz {name}: {count} inputs in {elapsed:.1?} of processor time, no finding"));
    }

    fn try_target<T: AsRef<[u8]>>(self, name: &str, input: &T, random: &mut Random, target: &impl Fn(&T, &mut Random)) {
        let (started, before) = (Clock::now(), random.clone());
        let outcome = catch_unwind(AssertUnwindSafe(|| target(input, random)));
        let took = started.elapsed();
        if outcome.is_err() || took > self.time_max {
            let kept = std::env::temp_dir().join(format!("moneta-fuzz-{name}"));
            std::fs::write(&kept, input).expect("the directory for temporary files can be written");
            panic!("finding in {name} after {took:?}, {before:?}: the input is in {}", kept.display());
        }
    }
}

#[expect(clippy::print_stdout, reason = "a run of this length reports what it did")]
fn report(line: &str) {
    println!("{line}");
}

/// The processor time this thread has used, where the system tells it; else the time that has passed. A machine busy with
/// other work would make either limit mean less.
struct Clock {
    began: Instant,
    used: Option<Duration>,
}

impl Clock {
    fn now() -> Self {
        Self { began: Instant::now(), used: Self::used() }
    }

    fn elapsed(&self) -> Duration {
        match (self.used, Self::used()) {
            (Some(before), Some(now)) => now.saturating_sub(before),
            _ => self.began.elapsed(),
        }
    }

    /// The first number of Linux's `schedstat`: nanoseconds on a processor.
    fn used() -> Option<Duration> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Fuzz = Fuzz { short_run: 200, whole_seeds: 1, seeds_max: 4, time_max: Duration::from_secs(5) };

    fn longer(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        bytes.push(random.below(256).to_le_bytes()[0]);
        bytes
    }

    #[test]
    fn a_target_sees_the_seeds_and_what_grows_out_of_them() {
        let (seen, all) = std::sync::mpsc::channel();
        PLAN.run("seen", vec![vec![7]], longer, move |input, _| seen.send(input.clone()).unwrap());
        let all: Vec<Vec<u8>> = all.iter().collect();
        assert_eq!((all.len(), &all[0]), (200, &vec![7]));
        assert!(all.iter().any(|input| input.len() > 2), "some mutations live on");
    }

    #[test]
    fn a_panic_is_a_finding_and_its_input_is_kept() {
        let found = std::panic::catch_unwind(|| {
            PLAN.run("found", vec![vec![7]], longer, |input, _| assert!(input.len() < 2, "too long"));
        });
        let message = *found.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("finding in found"), "{message}");
        let kept = std::fs::read(std::env::temp_dir().join("moneta-fuzz-found")).unwrap();
        assert_eq!(kept.len(), 2);
    }
}
