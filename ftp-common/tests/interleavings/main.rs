//! Two CPUs at once, in every order of their steps within a bound.
//!
//! `loom` runs each test again and again, with another order of the threads' steps each time, and lets a load see any
//! store that the memory model allows it to see. The code under test is the kernel program's own: what stands for the
//! maps is atomic cells. A step is one operation on a map (atomic by itself: the kernel holds the bucket's lock, and who
//! looks up holds none) or one load or store of a map's value. The bound is the number of times that a thread is
//! interrupted between two steps, besides where it ends; each test names its own.
//!
//! Loads and stores have the order that they have on x86, where the code or a call of the kernel keeps the compiler from
//! changing it; elsewhere none. What ARM may reorder beyond that is not played.

mod expectation;
mod halves;
mod limit;
mod session;
mod table;

/// Plays `story` in every order with at most so many interruptions.
fn in_every_order(interruptions: usize, story: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(interruptions);
    model.check(story);
}
