//! Work on all processors.
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// More threads have not been seen to pay: memory is what they wait for then.
const MAX_WORKERS: usize = 16;

/// Threads that can be had.
pub(crate) fn workers() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).min(MAX_WORKERS)
}

/// Does all jobs on up to `workers` threads, of which the caller is one; the largest jobs (by `size`, in
/// any unit) first. Results are in the order of the jobs.
pub(crate) fn run<J: Send, T: Send>(
    workers: usize,
    jobs: Vec<J>,
    size: impl Fn(&J) -> usize,
    work: impl Fn(J) -> T + Sync,
) -> Vec<T> {
    let count = jobs.len();
    let mut queue: Vec<(usize, J)> = jobs.into_iter().enumerate().collect();
    queue.sort_by_key(|(_, job)| size(job));
    let queue = Mutex::new(queue);
    let done = Mutex::new(Vec::with_capacity(count));
    let worker = || {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((place, job)) = next else { return };
            let result = work(job);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((place, result));
        }
    };
    thread::scope(|scope| {
        // Where no thread can be had, the others or the caller do it all.
        let spawn = || thread::Builder::new().name("names".to_owned()).spawn_scoped(scope, worker).ok();
        let others: Vec<_> = (1..workers.min(count)).map_while(|_| spawn()).collect();
        worker();
        // All are waited for before a panic goes on.
        let panics: Vec<_> = others.into_iter().filter_map(|other| other.join().err()).collect();
        if let Some(panic) = panics.into_iter().next() {
            resume_unwind(panic);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_jobs() {
        for workers in [0, 1, 2, 7] {
            let jobs: Vec<usize> = (0..100).collect();
            let doubled = run(workers, jobs, |job| job % 7, |job| job * 2);
            assert_eq!(doubled, (0..200).step_by(2).collect::<Vec<usize>>());
        }
        assert!(run(2, Vec::<usize>::new(), |job| *job, |job| job).is_empty());
    }
}
