mod pacing;
mod queue;
mod timeline;
