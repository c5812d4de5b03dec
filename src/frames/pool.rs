//! The threads that frames are made on.

use std::num::NonZero;

use once_cell::sync::Lazy;
use rayon::prelude::*;

/// Rows a task makes: few enough to share the work evenly, enough to keep their source in cache.
pub(super) const BAND: usize = 16;

/// One a core, started with the first frame; none if the system refuses them.
static POOL: Lazy<Option<rayon::ThreadPool>> = Lazy::new(|| {
    rayon::ThreadPoolBuilder::new()
        .num_threads(std::thread::available_parallelism().map_or(1, NonZero::get))
        .thread_name(|index| format!("vfi-warp-{index}"))
        .build()
        .ok()
});

/// Does the work for each task, on all cores; each thread keeps a `scratch` of its own.
pub(super) fn each<T: Send, S: Default>(tasks: Vec<T>, work: impl Fn(&mut S, T) + Sync + Send) {
    match &*POOL {
        Some(pool) => pool.install(|| tasks.into_par_iter().for_each_init(S::default, work)),
        None => {
            let mut scratch = S::default();
            tasks.into_iter().for_each(|task| work(&mut scratch, task));
        }
    }
}
