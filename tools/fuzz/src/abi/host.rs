//! A host that makes calls and keeps account of its acquisitions.

use super::LABELS;
use super::account::{Account, FINAL, Finals, INVALID_FRAME, init, ok_or, record_final};
use super::input::{FrameChoice, SIDE_PX, Settings};
use std::ptr::{null, null_mut};
use std::sync::PoisonError;
use tteview::Status;
use tteview::ffi::acquisition::{
    ttv_slot, ttv_stream_begin, ttv_stream_commit, ttv_stream_end, ttv_stream_loan,
    ttv_stream_mark, ttv_stream_push,
};
use tteview::ffi::engine::{ttv_engine, ttv_engine_pause, ttv_engine_resume};
use tteview::ffi::engine_info::{ttv_engine_get_info, ttv_engine_get_label, ttv_engine_info};
use tteview::ffi::events::{
    ttv_stats, ttv_stream_event_fd, ttv_stream_get_stats, ttv_stream_last_event,
};
use tteview::ffi::frame::ttv_frame;
use tteview::ffi::label::ttv_label;
use tteview::ffi::poll::{ttv_stream_poll, ttv_stream_wait};
use tteview::ffi::query::ttv_stream_query;
use tteview::ffi::result::ttv_result;
use tteview::ffi::status::{ttv_last_error, ttv_status_string};
use tteview::ffi::stream::{
    ttv_stream, ttv_stream_create, ttv_stream_destroy, ttv_stream_get_memory, ttv_stream_process,
};
use tteview::ffi::stream_config::ttv_stream_config;

/// Maximum time for a final result.
const TIMEOUT_NS: i64 = 20_000_000_000;

/// Number of final results that a stream keeps.
const KEPT_FINALS: u64 = 4;

/// The flag with which a stream publishes a result after each sample.
const PUBLISH_EACH_SAMPLE: u32 = 1 << 1;

/// The drive of a stream that the host drives.
const DRIVE_HOST: u32 = 2;

/// A host with one stream.
pub(super) struct Host {
    engine: *mut ttv_engine,
    stream: *mut ttv_stream,
    config: ttv_stream_config,
    is_driver: bool,
    finals: Box<Finals>,
    /// The acquisitions that were begun.
    accounts: Vec<Account>,
    is_acquiring: bool,
    slot: Option<ttv_slot>,
    time_ns: i64,
    refused: u64,
    pixels: Vec<u8>,
}

impl Host {
    /// Creates a stream. Returns `None` if the settings are refused.
    pub(super) fn open(engine: *mut ttv_engine, settings: &Settings) -> Option<Self> {
        let finals = Box::<Finals>::default();
        let mut config: ttv_stream_config = init();
        config.ring_slots = settings.ring_slots;
        config.flags = if settings.publishes_samples { PUBLISH_EACH_SAMPLE } else { 0 };
        (config.max_width_px, config.max_height_px) = (SIDE_PX, SIDE_PX);
        config.drive = settings.drive;
        config.partial_chunk = settings.partial_chunk;
        config.frame_period_ns = settings.frame_period_ns;
        config.label_span_ns = settings.label_span_ns;
        config.history_ns = 3_000_000_000;
        config.exact_history_ns = if settings.has_exact_history { 1_000_000_000 } else { 0 };
        config.early_stop_margin = settings.early_stop_margin;
        config.view_change_margin = settings.view_change_margin;
        config.on_result = Some(record_final);
        config.user = (&raw const *finals).cast_mut().cast();
        let mut stream = null_mut();
        // SAFETY: the engine lives as long as the process, and the configuration is valid memory.
        let status = unsafe { ttv_stream_create(engine, &raw const config, &raw mut stream) };
        ok_or(status, &[Status::InvalidArgument]);
        (status == 0).then(|| Self {
            engine,
            stream,
            config,
            is_driver: settings.drive == DRIVE_HOST,
            finals,
            accounts: Vec::new(),
            is_acquiring: false,
            slot: None,
            time_ns: 0,
            refused: 0,
            pixels: vec![0; 4 * (SIDE_PX * SIDE_PX) as usize * 2],
        })
    }

    fn last(&mut self) -> &mut Account {
        self.accounts.last_mut().expect("an acquisition was begun")
    }

    pub(super) fn begin(&mut self) {
        let mut acquisition = 0;
        // SAFETY: the stream lives, and the place is a local variable.
        let status = unsafe { ttv_stream_begin(self.stream, &raw mut acquisition) };
        if self.is_acquiring {
            assert_eq!(status, Status::WrongState.code());
            return;
        }
        ok_or(status, &[Status::RingFull]);
        if status == 0 {
            assert_eq!(acquisition, self.accounts.len() as u64 + 1, "identifiers count from 1");
            self.accounts.push(Account { acquisition, ..Account::default() });
            self.is_acquiring = true;
        }
    }

    fn create_frame(&mut self, choice: FrameChoice) -> ttv_frame {
        self.time_ns = self.time_ns.saturating_add(choice.step_ns);
        self.pixels.fill(choice.grey);
        let mut frame: ttv_frame = init();
        frame.format = choice.format;
        frame.flags = choice.flags;
        (frame.width_px, frame.height_px) = (choice.width_px, choice.height_px);
        [frame.roi_x_px, frame.roi_y_px, frame.roi_width_px, frame.roi_height_px] = choice.roi;
        [frame.um_per_px_x, frame.um_per_px_y] = choice.um_per_px;
        // Eight bytes per pixel are enough for every format.
        frame.stride_bytes = [choice.stride_bytes.unwrap_or(choice.width_px.min(SIDE_PX) * 4); 3];
        if choice.has_planes {
            frame.plane = [self.pixels.as_ptr(); 3];
        }
        frame.time_ns = self.time_ns;
        frame
    }

    pub(super) fn push(&mut self, choice: FrameChoice) {
        let frame = self.create_frame(choice);
        // SAFETY: the planes of a valid frame have at most 64 rows of at most 300 bytes, which fit
        // into `pixels`.
        let status = unsafe { ttv_stream_push(self.stream, &raw const frame) };
        if !self.is_acquiring {
            ok_or(status, &[&[Status::WrongState][..], &INVALID_FRAME].concat());
            assert_ne!(status, 0, "a push before begin");
        }
        self.count(status, &[Status::RingFull, Status::FrameRefused, Status::WrongState]);
    }

    /// Counts a frame according to the status of its call.
    #[track_caller]
    fn count(&mut self, status: i32, outcomes: &[Status]) {
        ok_or(status, &[outcomes, &INVALID_FRAME].concat());
        match Status::from_code(status) {
            Some(Status::Ok) => self.last().accepted += 1,
            Some(Status::RingFull) => self.last().dropped += 1,
            Some(Status::FrameRefused) => self.refused += 1,
            _ => {}
        }
    }

    pub(super) fn loan(&mut self) {
        let mut slot: ttv_slot = init();
        // SAFETY: the stream lives, and the slot is a local variable.
        let status = unsafe { ttv_stream_loan(self.stream, &raw mut slot) };
        ok_or(status, &[Status::RingFull, Status::WrongState]);
        assert_eq!(status == Status::WrongState.code(), !self.is_acquiring);
        if status == 0 {
            // SAFETY: the library lends this memory until the loan ends.
            unsafe { slot.data.write_bytes(7, slot.capacity_bytes as usize) };
            self.slot = Some(slot);
        }
        self.count_drop(status);
    }

    fn count_drop(&mut self, status: i32) {
        if status == Status::RingFull.code() {
            self.last().dropped += 1;
        }
    }

    pub(super) fn commit(&mut self, choice: FrameChoice) {
        let mut frame = self.create_frame(choice);
        if choice.stride_bytes.is_none() {
            frame.stride_bytes = [0; 3];
        }
        let slot = self.slot.unwrap_or_else(init);
        // SAFETY: the stream lives, and the structs are local variables.
        let status = unsafe { ttv_stream_commit(self.stream, &raw const slot, &raw const frame) };
        assert!(status != 0 || (self.slot.is_some() && self.is_acquiring), "a commit without loan");
        self.count(status, &[Status::FrameRefused, Status::WrongState]);
        if status == 0 {
            self.slot = None;
        }
    }

    pub(super) fn mark(&self) -> i32 {
        // SAFETY: the stream lives.
        unsafe { ttv_stream_mark(self.stream) }
    }

    pub(super) fn end(&mut self) {
        // SAFETY: the stream lives.
        let status = unsafe { ttv_stream_end(self.stream) };
        let expected = if self.is_acquiring { Status::Ok } else { Status::WrongState };
        assert_eq!(status, expected.code());
        (self.is_acquiring, self.slot) = (false, None);
    }

    pub(super) fn process(&mut self) {
        // SAFETY: the stream lives.
        let status = unsafe { ttv_stream_process(self.stream) };
        if self.is_driver {
            ok_or(status, &[Status::NotReady]);
        } else {
            assert_eq!(status, Status::WrongState.code());
        }
    }

    /// Checks a result that belongs to an acquisition, or to a query if its identifier is 0.
    fn check_result(&self, result: &ttv_result, scores: &[f32]) {
        assert_eq!(result.status, 0, "the network never fails");
        assert_eq!(result.scores_length as usize, LABELS);
        assert!((-1..LABELS as i32).contains(&result.label));
        assert!(result.confidence.is_finite() && result.margin.is_finite());
        assert_eq!((result.group, result.group_confidence), (-1, 0.0), "the model has no groups");
        if result.chunks > 0 {
            let sum: f32 = scores.iter().sum();
            assert!((sum - 1.0).abs() < 1e-3, "the posterior must sum to 1, got {scores:?}");
        }
        let index = result.acquisition.checked_sub(1).map(|index| index as usize);
        if let Some(account) = index.map(|index| self.accounts[index]) {
            assert!(result.frames_used <= account.accepted, "more frames than were accepted");
            if result.flags & FINAL != 0 {
                assert_eq!(result.frames_used, account.accepted);
                assert_eq!(result.frames_dropped, account.dropped);
            }
        }
    }

    /// Calls a function that writes a result, and checks the result.
    #[track_caller]
    fn read(&self, others: &[Status], call: impl FnOnce(*mut ttv_result) -> i32) -> i32 {
        let mut scores = [f32::NAN; LABELS];
        let mut result: ttv_result = init();
        (result.scores, result.scores_capacity) = (scores.as_mut_ptr(), LABELS as u32);
        let status = call(&raw mut result);
        ok_or(status, others);
        if status == 0 || status == Status::Partial.code() {
            self.check_result(&result, &scores);
        }
        status
    }

    pub(super) fn poll(&self) {
        // SAFETY: the stream lives, and the result is valid memory.
        self.read(&[Status::NotReady], |result| unsafe { ttv_stream_poll(self.stream, result) });
    }

    pub(super) fn wait(&self, back: u8, timeout_ns: i64) {
        let acquisition = (self.accounts.len() as u64).saturating_sub(back.into());
        self.read(&[Status::TimedOut, Status::Empty, Status::InvalidArgument], |result| {
            // SAFETY: the stream lives, and the result is valid memory.
            unsafe { ttv_stream_wait(self.stream, acquisition, timeout_ns, result) }
        });
    }

    pub(super) fn query(&self, from_ns: i64, to_ns: i64, flags: u32) {
        let others = [
            Status::Partial,
            Status::Empty,
            Status::TimedOut,
            Status::Unsupported,
            Status::InvalidArgument,
            Status::UnknownFlags,
        ];
        let status = self.read(&others, |result| {
            // SAFETY: the stream lives, and the result is valid memory.
            unsafe { ttv_stream_query(self.stream, from_ns, to_ns, flags, 100_000, result) }
        });
        assert_eq!(status == Status::UnknownFlags.code(), flags > 1);
        if flags <= 1 {
            assert_eq!(status == Status::InvalidArgument.code(), from_ns > to_ns);
        }
    }

    pub(super) fn observe(&self) {
        let (mut stats, mut memory): (ttv_stats, usize) = (init(), 0);
        let (mut info, mut label): (ttv_engine_info, ttv_label) = (init(), init());
        let mut text = [0; 16];
        // SAFETY: the handles live, and every other pointer refers to a local variable.
        unsafe {
            ok_or(ttv_stream_get_stats(self.stream, &raw mut stats), &[]);
            let event = ttv_stream_last_event(self.stream);
            assert!(!ttv_status_string(event).is_null());
            assert!(ttv_stream_event_fd(self.stream) >= 0);
            ok_or(ttv_engine_get_info(self.engine, &raw mut info), &[]);
            let found = ttv_engine_get_label(self.engine, stats.pushed as u32 % 8, &raw mut label);
            ok_or(found, &[Status::InvalidArgument]);
            let config = &raw const self.config;
            ok_or(ttv_stream_get_memory(self.engine, config, &raw mut memory), &[]);
            ttv_last_error(text.as_mut_ptr(), text.len());
        }
        let sum = |count: fn(&Account) -> u64| self.accounts.iter().map(count).sum::<u64>();
        assert_eq!(stats.pushed, sum(|account| account.accepted));
        assert_eq!(stats.dropped, sum(|account| account.dropped));
        assert_eq!(stats.refused, self.refused);
        assert!(memory > 0);
        assert_eq!(text[15], 0, "the message ends with NUL");
    }

    pub(super) fn pause(&self) {
        // SAFETY: the engine lives.
        ok_or(unsafe { ttv_engine_pause(self.engine) }, &[]);
    }

    pub(super) fn resume(&self) {
        // SAFETY: the engine lives.
        ok_or(unsafe { ttv_engine_resume(self.engine) }, &[]);
    }

    /// Passes NULL, or a struct of a wrong size, to a function. The call must return an error and
    /// change nothing.
    pub(super) fn pass_null(&mut self, number: u8) {
        let stream = if number & 128 == 0 { self.stream } else { null_mut() };
        let mut small: ttv_result = init();
        small.struct_size = u32::from(number % 8);
        let small = &raw mut small;
        // SAFETY: every pointer is NULL or refers to a live value that begins with its size.
        let status = unsafe {
            match number % 8 {
                0 => ttv_stream_begin(null_mut(), null_mut()),
                1 => ttv_stream_push(stream, null()),
                2 => ttv_stream_loan(stream, null_mut()),
                3 => ttv_stream_commit(stream, null(), null()),
                4 => ttv_stream_poll(stream, small),
                5 => ttv_stream_wait(stream, 1, 0, small),
                6 => ttv_stream_query(stream, 0, 1, 0, 0, small),
                _ => ttv_stream_create(self.engine, null(), null_mut()),
            }
        };
        assert!(
            [Status::NullArgument, Status::StructSize].iter().any(|s| s.code() == status),
            "the call returned {:?}",
            Status::from_code(status)
        );
    }

    /// Ends the acquisition in progress, waits for the final results and destroys the stream.
    /// Checks that every acquisition has exactly one final result with the right counts.
    pub(super) fn close(mut self) {
        self.resume();
        if self.is_acquiring {
            self.end();
        }
        let last = self.accounts.len() as u64;
        if self.is_driver {
            // SAFETY: the stream lives.
            while unsafe { ttv_stream_process(self.stream) } == 0 {}
        }
        for acquisition in last.saturating_sub(KEPT_FINALS - 1).max(1)..=last {
            self.read(&[], |result| {
                // SAFETY: the stream lives, and the result is valid memory.
                unsafe { ttv_stream_wait(self.stream, acquisition, TIMEOUT_NS, result) }
            });
        }
        self.observe();
        // SAFETY: the stream lives, and no other call uses it. The worker makes its last callback
        // before the call returns.
        unsafe { ttv_stream_destroy(self.stream) };
        let finals = self.finals.0.lock().unwrap_or_else(PoisonError::into_inner);
        let expected: Vec<(i32, Account)> =
            self.accounts.iter().map(|&account| (0, account)).collect();
        assert_eq!(*finals, expected, "every acquisition has one final result");
    }
}
