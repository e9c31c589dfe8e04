//! What the operating system is told of a thread: that its work may wait.

use thread_priority::{ThreadPriority, set_current_thread_priority};

/// Of 99, where an ordinary thread has 50: on Linux a niceness of 9, about an eighth of an ordinary thread's share.
const BACKGROUND: u8 = 25;

/// Lets other threads go before this one when there are too few cores for all. For work that must be done but by nobody
/// waited for: sealing, merging, reading everything again.
///
/// # Errors
/// What the operating system said; the thread then goes on as it was.
pub fn yield_to_others() -> Result<(), String> {
    let priority = ThreadPriority::Crossplatform(BACKGROUND.try_into()?);
    set_current_thread_priority(priority).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    /// The niceness of the calling thread: field 19 of its `stat` (proc(5)); what precedes the name's end has two.
    fn niceness() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        stat.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().parse().unwrap()
    }

    #[test]
    fn only_the_thread_that_asks_yields() {
        let before = niceness();
        let inside = std::thread::spawn(|| {
            super::yield_to_others().unwrap();
            niceness()
        });
        assert!(inside.join().unwrap() > before);
        assert_eq!(niceness(), before);
    }
}
