//! The meaning of the bytes of an input.

/// Maximum number of calls per input.
const MAX_BYTES: usize = 2048;

/// Width and height of the largest frame that the stream accepts.
pub(super) const SIDE_PX: u32 = 64;

/// The rest of an input. An input that ends gives zeros, except for calls.
pub(super) struct Input<'a>(pub(super) &'a [u8]);

/// Settings of the stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) is_window: bool,
    pub(super) has_frame_steps: bool,
    pub(super) publishes_samples: bool,
    /// One of the drives of the ABI.
    pub(super) drive: u32,
    pub(super) ring_slots: u32,
    pub(super) has_exact_history: bool,
    pub(super) early_stop_margin: f32,
    pub(super) view_change_margin: f32,
    pub(super) frame_period_ns: i64,
    pub(super) partial_chunk: u32,
    pub(super) label_span_ns: i64,
}

/// A frame to push or commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameChoice {
    pub(super) format: u32,
    pub(super) width_px: u32,
    pub(super) height_px: u32,
    pub(super) roi: [u32; 4],
    pub(super) um_per_px: [f32; 2],
    pub(super) stride_bytes: Option<u32>,
    pub(super) flags: u32,
    pub(super) has_planes: bool,
    pub(super) grey: u8,
    /// Time since the previous frame that was pushed.
    pub(super) step_ns: i64,
}

/// A call or a group of calls.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Begin,
    Push(FrameChoice),
    Loan,
    Commit(FrameChoice),
    Mark,
    End,
    /// Process the ring of a host-driven stream this many times.
    Process(u8),
    Poll,
    /// Wait for the acquisition that is `back` before the newest one.
    Wait {
        back: u8,
        timeout_ns: i64,
    },
    Query {
        from_ns: i64,
        to_ns: i64,
        flags: u32,
    },
    /// Read the counters, the events, the labels, the memory and the last error.
    Observe,
    Pause,
    Resume,
    /// Pass NULL or a struct of a wrong size to one of the functions.
    Null(u8),
}

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// Reads the settings of the stream.
    pub(super) fn settings(&mut self) -> Settings {
        self.0 = &self.0[..self.0.len().min(MAX_BYTES)];
        let [kind, slots, rules, times] = [(); 4].map(|()| self.byte());
        let margin = |on: bool| if on { f32::from(rules >> 4) / 15.0 } else { 0.0 };
        Settings {
            is_window: kind & 1 == 1,
            has_frame_steps: kind & 32 != 0,
            publishes_samples: kind & 64 != 0,
            // Most inputs use the drive that needs no thread, because they run faster.
            drive: [2, 0, 1, 2, 2, 2, 2, 2][usize::from(kind >> 1 & 7)],
            ring_slots: 2 + u32::from(slots % 16),
            has_exact_history: kind & 16 != 0,
            early_stop_margin: margin(rules & 1 == 1),
            view_change_margin: margin(rules & 2 == 2),
            frame_period_ns: if rules & 4 == 4 { 33_333_333 } else { 0 },
            partial_chunk: u32::from(rules >> 3 & 1),
            label_span_ns: i64::from(times) * 10_000_000,
        }
    }

    /// Reads the next call, or returns `None` at the end of the input.
    pub(super) fn op(&mut self) -> Option<Op> {
        if self.0.is_empty() {
            return None;
        }
        Some(match self.byte() % 14 {
            0 => Op::Begin,
            1 => Op::Push(self.frame()),
            2 => Op::Loan,
            3 => Op::Commit(self.frame()),
            4 => Op::Mark,
            5 => Op::End,
            6 => Op::Process(self.byte() % 64),
            7 => Op::Poll,
            8 => {
                Op::Wait { back: self.byte() % 6, timeout_ns: i64::from(self.byte() % 2) * 100_000 }
            }
            9 => {
                let [from, to, flags] = [(); 3].map(|()| self.byte());
                let time_ns = |byte: u8| match byte {
                    255 => i64::MAX,
                    254 => i64::MIN,
                    byte => i64::from(byte) * 20_000_000,
                };
                let flags = if flags > 250 { flags.into() } else { (flags % 2).into() };
                Op::Query { from_ns: time_ns(from), to_ns: time_ns(to), flags }
            }
            10 => Op::Observe,
            11 => Op::Pause,
            12 => Op::Resume,
            _ => Op::Null(self.byte()),
        })
    }

    /// Reads a frame. A frame that the stream accepts is at most [`SIDE_PX`] wide and high, and its
    /// strides are small, so that the planes fit into the host's memory.
    fn frame(&mut self) -> FrameChoice {
        let [kind, grey, step] = [(); 3].map(|()| self.byte());
        let step_ns = match step {
            255 => i64::MAX / 4,
            254 => -40_000_000,
            253 => 400_000_000,
            step => i64::from(step) * 1_000_000,
        };
        let mut frame = FrameChoice {
            format: 0,
            width_px: 32,
            height_px: 32,
            roi: [0; 4],
            um_per_px: [0.0; 2],
            stride_bytes: None,
            flags: 0,
            has_planes: true,
            grey,
            step_ns,
        };
        if kind % 4 != 3 {
            return frame;
        }
        let [format, width, height, detail] = [(); 4].map(|()| self.byte());
        let side = |byte: u8| match byte % 8 {
            0 => 31,
            1 => 4097,
            2 => SIDE_PX + 1,
            3 => SIDE_PX,
            4 => 33,
            _ => 32,
        };
        frame.format = (format % 12).into();
        (frame.width_px, frame.height_px) = (side(width), side(height));
        frame.flags = (detail & 7).into();
        if detail & 8 != 0 {
            frame.flags |= 1 << 20;
        }
        if detail & 16 != 0 {
            frame.roi = [width >> 3, height >> 3, 32, 32].map(u32::from);
        }
        if detail & 32 != 0 {
            frame.um_per_px = [f32::from(width), if height > 200 { f32::NAN } else { 1.0 }];
        }
        frame.stride_bytes = (detail & 64 != 0).then_some(u32::from(format >> 4) * 20);
        frame.has_planes = detail & 128 == 0;
        frame
    }
}
