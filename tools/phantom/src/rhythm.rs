//! When the beats come: sinus rhythm, premature beats, or the irregular intervals of atrial fibrillation.

use crate::rng::Rng;

/// Beats that are drawn; after them the rhythm repeats. Three minutes at 70 a minute.
const BEATS: usize = 210;

/// How the intervals between beats vary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RhythmKind {
    /// Intervals vary by 3 %, as breathing does it.
    Sinus,
    /// One beat in six comes early and a pause follows.
    Premature,
    /// Every interval differs, by 22 % (atrial fibrillation).
    Irregular,
}

impl RhythmKind {
    /// The name in a manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sinus => "sinus",
            Self::Premature => "premature",
            Self::Irregular => "irregular",
        }
    }
}

/// Starts of the beats, in units of the mean interval.
#[derive(Clone, Debug)]
pub(crate) struct Rhythm {
    pub(crate) kind: RhythmKind,
    starts: Vec<f32>,
}

impl Rhythm {
    /// Four in five hearts are in sinus rhythm.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let kind = match rng.range(0.0, 1.0) {
            u if u < 0.8 => RhythmKind::Sinus,
            u if u < 0.9 => RhythmKind::Premature,
            _ => RhythmKind::Irregular,
        };
        let mut starts = vec![0.0];
        let mut at = 0.0;
        let mut pause = false;
        for _ in 0..BEATS {
            let wobble = rng.normal().clamp(-2.0, 2.0);
            let early = rng.range(0.0, 1.0) < 1.0 / 6.0;
            at += match kind {
                RhythmKind::Sinus => 1.0 + 0.03 * wobble,
                RhythmKind::Irregular => (1.0 + 0.22 * wobble).max(0.6),
                RhythmKind::Premature if pause => 1.35,
                RhythmKind::Premature if early => 0.65,
                RhythmKind::Premature => 1.0 + 0.03 * wobble,
            };
            pause = kind == RhythmKind::Premature && early && !pause;
            starts.push(at);
        }
        Self { kind, starts }
    }

    /// Position within the beat at `t` mean intervals: 0 at end-diastole, below 1.
    ///
    /// Systole keeps its length when an interval differs from the mean, and diastole takes the difference (Bazett's
    /// square root would let systole give a little; at the intervals drawn here that is not to be seen).
    pub(crate) fn position(&self, t: f32) -> f32 {
        let last = self.starts.last().copied().unwrap_or(1.0);
        let t = t.rem_euclid(last);
        let next = self.starts.partition_point(|&start| start <= t).clamp(1, self.starts.len() - 1);
        let (start, interval) = (self.starts[next - 1], self.starts[next] - self.starts[next - 1]);
        const SYSTOLE: f32 = 0.42;
        let since = t - start;
        if since < SYSTOLE {
            since
        } else {
            SYSTOLE + (since - SYSTOLE) / (interval - SYSTOLE).max(0.05) * (1.0 - SYSTOLE)
        }
        .clamp(0.0, 0.9999)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_beat_is_passed_through_once_whatever_the_rhythm() {
        for seed in 0..40 {
            let rhythm = Rhythm::draw(&mut Rng::new(seed));
            let mut before = rhythm.position(0.0);
            let mut beats = 0;
            for step in 1..10_000 {
                let now = rhythm.position(step as f32 * 0.01);
                assert!((0.0..1.0).contains(&now));
                if now < before {
                    assert!(before > 0.9 && now < 0.1, "seed {seed}: from {before} to {now}");
                    beats += 1;
                }
                before = now;
            }
            assert!((88..=112).contains(&beats), "seed {seed}: {beats} beats in a hundred mean intervals");
        }
    }
}
