//! Pure decisions on time: which synthesised frames are too late to be worth making.

/// The rule of GStreamer's filters on QoS events (gstdeinterlace.c, `gst_deinterlace_src_event`):
/// when downstream is late by `diff`, the next frame worth making is the one that is due after
/// twice that delay. All times are running time in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pacing {
    earliest: Option<u64>,
    proportion: f64,
}

/// A delay beyond this is not doubled: one stall must not silence the element for long.
const LONGEST: i64 = 500_000_000;

impl Pacing {
    /// Forgets what was observed (flush, new segment).
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Downstream tells how late (`diff > 0`) or early the frame of running time `timestamp` was;
    /// `frame` is the distance of two output frames.
    pub(super) fn observe(&mut self, proportion: f64, diff: i64, timestamp: u64, frame: u64) {
        self.proportion = proportion;
        let earliest = if diff > 0 {
            let ahead = diff.saturating_mul(2).min(diff.max(LONGEST));
            timestamp.saturating_add_signed(ahead).saturating_add(frame)
        } else {
            timestamp.saturating_add_signed(diff)
        };
        self.earliest = Some(earliest);
    }

    /// How far behind its time a frame of this running time would be: `None` if it is in time.
    pub(super) fn late_by(&self, running_time: u64) -> Option<u64> {
        self.earliest?
            .checked_sub(running_time)
            .filter(|late| *late > 0)
    }

    /// The proportion of the last event, for QoS messages.
    pub(super) fn proportion(&self) -> f64 {
        self.proportion
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn nothing_is_late_before_the_first_event() {
        assert_eq!(Pacing::default().late_by(0), None);
    }

    #[test]
    fn lateness_is_doubled_once() {
        let mut pacing = Pacing::default();
        pacing.observe(1.5, 10 * MS as i64, 100 * MS, 16 * MS);
        assert_eq!(pacing.late_by(130 * MS), Some(6 * MS));
        assert_eq!(pacing.late_by(136 * MS), None);
    }

    #[test]
    fn a_long_stall_is_not_doubled() {
        let mut pacing = Pacing::default();
        pacing.observe(2.0, 3_000 * MS as i64, 0, 0);
        assert_eq!(pacing.late_by(0), Some(3_000 * MS));
    }

    #[test]
    fn early_frames_make_nothing_late() {
        let mut pacing = Pacing::default();
        pacing.observe(0.5, -20 * MS as i64, 100 * MS, 16 * MS);
        assert_eq!(pacing.late_by(100 * MS), None);
    }

    #[test]
    fn a_reset_forgets() {
        let mut pacing = Pacing::default();
        pacing.observe(2.0, 50 * MS as i64, 100 * MS, 16 * MS);
        pacing.reset();
        assert_eq!(pacing.late_by(0), None);
    }
}
