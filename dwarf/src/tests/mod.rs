//! Tests on stacks and unwind information written by hand.
mod damage;
mod expressions;
mod fallbacks;
mod operations;
mod others;
mod plain;
mod progress;
mod random;
mod scene;
mod search;
mod section;
mod signals;
