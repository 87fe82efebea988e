//! Which of the creatives that fit is shown.

use crate::creative::CompiledCreative;
use crate::hash::{exact, mix};

/// Apart from the tie-break, or the creatives of a campaign that wins by its hash would not rotate.
const ROTATION: u64 = exact("rotation");

/// One of `fitting` (positions in `creatives`), each as often as its weight says; `None` when there is none.
pub(crate) fn rotate(creatives: &[CompiledCreative], fitting: &[usize], tie: u64) -> Option<usize> {
    // Its weight is above zero, or it would not have been compiled.
    if let [only] = fitting {
        return Some(*only);
    }
    let weight = |position: usize| {
        creatives
            .get(position)
            .map_or(0, |creative| u64::from(creative.weight))
    };
    let total: u64 = fitting.iter().map(|position| weight(*position)).sum();
    let mut point = mix(tie, ROTATION).checked_rem(total)?;
    fitting.iter().copied().find(|position| {
        let weight = weight(*position);
        let is_here = point < weight;
        point = point.saturating_sub(weight);
        is_here
    })
}
