//! Figures out of samples.

/// The sample of that rank by the nearest-rank rule, `fraction` from 0 to 1; none of none.
pub fn percentile(samples: &[f64], fraction: f64) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let rank = (last as f64 * fraction).round() as usize;
    sorted.get(rank).copied()
}

/// The middle sample.
pub fn median(samples: &[f64]) -> Option<f64> {
    percentile(samples, 0.5)
}

/// The smallest sample.
pub fn minimum(samples: &[f64]) -> Option<f64> {
    percentile(samples, 0.0)
}

/// The largest sample.
pub fn maximum(samples: &[f64]) -> Option<f64> {
    percentile(samples, 1.0)
}

/// How many times the floor a figure is; none where one of them is not there, or the floor is 0.
pub fn ratio(figure: Option<f64>, floor: Option<f64>) -> Option<f64> {
    let (figure, floor) = (figure?, floor?);
    (floor > 0.0).then(|| figure / floor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        let samples = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(minimum(&samples), Some(1.0));
        assert_eq!(median(&samples), Some(3.0));
        assert_eq!(percentile(&samples, 0.99), Some(5.0));
        assert_eq!(maximum(&samples), Some(5.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn nothing_is_a_multiple_of_nothing() {
        assert_eq!(ratio(Some(3.0), Some(2.0)), Some(1.5));
        assert_eq!(ratio(Some(3.0), Some(0.0)), None);
        assert_eq!(ratio(None, Some(2.0)), None);
    }
}
