//! The rhythm of the heart: sinus rhythm, premature beats, or the irregular intervals of atrial
//! fibrillation.

use crate::rng::Rng;

/// Number of beats after which the rhythm repeats: three minutes at 70 beats per minute.
const BEATS: usize = 210;

/// The way in which the intervals between beats vary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RhythmKind {
    /// Intervals vary by about 3 %, as they do with breathing.
    Sinus,
    /// About one beat in seven comes early, and a pause follows it.
    Premature,
    /// Intervals vary by about 22 %, as in atrial fibrillation.
    Irregular,
}

impl RhythmKind {
    /// Returns the name that is used in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sinus => "sinus",
            Self::Premature => "premature",
            Self::Irregular => "irregular",
        }
    }
}

/// The beats of a heart.
#[derive(Clone, Debug)]
pub(crate) struct Rhythm {
    pub(crate) kind: RhythmKind,
    /// Start times of the beats, in units of the mean interval.
    starts: Vec<f32>,
}

impl Rhythm {
    /// Chooses a rhythm at random. The probability of a sinus rhythm is 0.8.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let kind = match rng.draw_uniform(0.0, 1.0) {
            u if u < 0.8 => RhythmKind::Sinus,
            u if u < 0.9 => RhythmKind::Premature,
            _ => RhythmKind::Irregular,
        };
        let mut starts = vec![0.0];
        let mut at = 0.0;
        let mut is_pause = false;
        for _ in 0..BEATS {
            let deviation = rng.draw_normal().clamp(-2.0, 2.0);
            let is_early = rng.draw_uniform(0.0, 1.0) < 1.0 / 6.0;
            at += match kind {
                RhythmKind::Sinus => 1.0 + 0.03 * deviation,
                RhythmKind::Irregular => (1.0 + 0.22 * deviation).max(0.6),
                RhythmKind::Premature if is_pause => 1.35,
                RhythmKind::Premature if is_early => 0.65,
                RhythmKind::Premature => 1.0 + 0.03 * deviation,
            };
            is_pause = kind == RhythmKind::Premature && is_early && !is_pause;
            starts.push(at);
        }
        Self { kind, starts }
    }

    /// Returns the position within the beat at the time `t`. The unit of `t` is the mean interval
    /// between beats. The position is 0 at end-diastole and always less than 1.
    ///
    /// Systole keeps its length when an interval differs from the mean, and diastole absorbs the
    /// whole difference. Bazett's formula would also change systole a little, but the change would
    /// not be visible for the intervals that are drawn here.
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
    fn every_rhythm_passes_through_each_beat_once() {
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
            assert!(
                (88..=112).contains(&beats),
                "seed {seed}: {beats} beats in a hundred mean intervals"
            );
        }
    }
}
