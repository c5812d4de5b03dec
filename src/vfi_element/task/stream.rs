//! The stream that comes and leaves: its caps, which are negotiated here, and its segment.
//!
//! New caps end the pair, unless they describe the same frames; then rate, output caps and pool are
//! agreed on anew. The engine is configured for them when the next frame comes, in
//! `Worker::take_changes`, as for every other change.

use gst::prelude::*;

use super::Worker;
use crate::vfi_element::buffers;
use crate::vfi_element::caps;
use crate::vfi_element::context::Context;
use crate::vfi_element::cuda::is_cuda;
use crate::vfi_element::log::CAT;
use crate::vfi_element::timing::timeline::{OutputRate, Timeline};

/// Facts that the caps fix.
pub(super) struct Stream {
    pub(super) input: gst::Caps,
    pub(super) output: gst::Caps,
    pub(super) info: gst_video::VideoInfo,
    /// Whether frames come at no fixed rate.
    pub(super) variable: bool,
    /// Whether more than two frames leave for one that comes.
    pub(super) several: bool,
    pub(super) pool: gst::BufferPool,
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Fails only for a pool that was never active.
        let _stopped = self.pool.set_active(false);
    }
}

impl Worker {
    /// Tells the timeline where the segment begins and stops.
    pub(super) fn tell_segment(&mut self) {
        let segment = self.deadlines.time_segment();
        let start = segment.and_then(|segment| segment.start());
        let stop = segment.and_then(|segment| segment.stop());
        if let Some(timeline) = &mut self.timeline {
            let start = start.map_or(0, gst::ClockTime::nseconds);
            timeline.set_segment(start, stop.map(gst::ClockTime::nseconds));
        }
    }

    /// Takes the caps of the frames that follow. If these look otherwise than those before, the held
    /// frame is shown for what is left of its time, and what memory sufficed for is forgotten.
    pub(super) fn take_caps(
        &mut self,
        context: &Context,
        input: gst::Caps,
    ) -> Result<(), gst::FlowError> {
        if self.stream.as_ref().is_some_and(|s| s.input == input) {
            return Ok(());
        }
        let looks_alike = self
            .stream
            .as_ref()
            .is_some_and(|stream| caps::describe_same_frames(&stream.input, &input));
        if !looks_alike {
            self.drain(context)?;
            self.stream = None;
            self.quality.begin_stream();
        }
        self.negotiate(context, input)
    }

    /// Agrees on output caps and memory with downstream.
    pub(super) fn negotiate(
        &mut self,
        context: &Context,
        input: gst::Caps,
    ) -> Result<(), gst::FlowError> {
        self.settle(context)?;
        let info = gst_video::VideoInfo::from_caps(&input).map_err(|error| {
            context.messenger.fail(
                gst::StreamError::Format,
                &format!("Unusable caps {input}: {error}"),
            );
            gst::FlowError::NotNegotiated
        })?;
        let pad = &context.srcpad;
        pad.check_reconfigure();
        let downstream = pad.peer_query_caps(Some(&caps::open_rate(&input)));
        let multiplier = self.settings.multiplier;
        let output = caps::choose_output(&input, &downstream, multiplier);
        let out_info = output
            .as_ref()
            .and_then(|caps| gst_video::VideoInfo::from_caps(caps).ok());
        let (Some(output), Some(out_info)) = (output, out_info) else {
            context.messenger.fail(
                gst::CoreError::Negotiation,
                &format!(
                    "No frame rate suits both sides: input {input}, downstream accepts {downstream}"
                ),
            );
            return Err(gst::FlowError::NotNegotiated);
        };
        let (rate, target) = caps::rates(&info, &out_info, multiplier);
        if self.stream.as_ref().is_none_or(|s| s.output != output) {
            gst::info!(CAT, obj = context.srcpad, "{input} becomes {output}");
            context.queue.flow_in(self.output.round())?;
            if !pad.push_event(gst::event::Caps::new(&output)) {
                if pad.check_reconfigure() {
                    // Downstream has changed its mind between the query and the event.
                    return self.negotiate(context, input);
                }
                if pad.pad_flags().contains(gst::PadFlags::FLUSHING) {
                    return Err(gst::FlowError::Flushing);
                }
                // The caps go along with the next frame, and what becomes of that tells a refusal from
                // a sink that is being stopped.
            }
        }
        // The pool in use is given back first: downstream may offer the very same again.
        self.stream = None;
        let cuda = is_cuda(&output).then(|| context.cuda_context()).transpose();
        let pool = cuda
            .map_err(|reason| glib::bool_error!("{reason}"))
            .and_then(|cuda| buffers::pool(pad, &output, &out_info, cuda.as_ref()));
        let pool = pool.map_err(|error| {
            context.messenger.fail(
                gst::ResourceError::Failed,
                &format!("No memory pool for {output}: {error}"),
            );
            gst::FlowError::Error
        })?;
        context.set_pool(pool.clone());
        match &mut self.timeline {
            Some(timeline) => timeline.retarget(rate, target),
            None => {
                let max_gap = self.settings.max_gap.nseconds();
                self.timeline = Some(Timeline::new(rate, target, max_gap));
                self.tell_segment();
            }
        }
        context.set_rates(rate, target);
        context.look_for_sink();
        let several = match (rate, target) {
            (_, OutputRate::Multiple(m)) => m > 2,
            (Some(from), OutputRate::Fixed(to)) => to.num * from.den > 2 * from.num * to.den,
            (None, OutputRate::Fixed(_)) => true,
        };
        self.stream = Some(Stream {
            input,
            output,
            variable: rate.is_none(),
            several,
            info: out_info,
            pool,
        });
        Ok(())
    }
}

/// Returns whether timestamps of one segment mean the same time in the other, which may begin or
/// stop elsewhere.
pub(super) fn goes_on(from: &gst::Segment, to: &gst::Segment) -> bool {
    let times = |segment: &gst::Segment| {
        let segment = segment.downcast_ref::<gst::ClockTime>()?;
        Some((
            segment.rate(),
            segment.applied_rate(),
            segment.base(),
            segment.offset(),
        ))
    };
    times(from).is_some_and(|from| times(to) == Some(from))
}
