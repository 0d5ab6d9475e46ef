//! Machines in the order of what is free of them, the fullest first.

use super::need::Amounts;
use std::collections::BTreeSet;

/// Where a machine lies on a shelf: first by how little of it is free, at last by its own number.
type Place = (u8, u8, u32);

/// Machines by what is free of them.
///
/// CPU and memory are put into classes, four to each doubling; a machine lies by the sum of its two
/// classes. So those that may have room for something lie in a few stretches of the order, however
/// lopsided the others are filled, and the first of them is the tightest, to within a class.
#[derive(Debug, Clone, Default)]
pub(super) struct Shelf(BTreeSet<Place>);

/// How far a search has come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor(Place);

/// Grows by one with each fourth of a doubling; 0 for nothing.
fn class(amount: u64) -> u8 {
    let Some(doublings) = amount.checked_ilog2() else { return 0 };
    let fourths = match doublings {
        0 | 1 => (amount << (2 - doublings)) & 3,
        _ => (amount >> (doublings - 2)) & 3,
    };
    // At most 1 + 4 * 63 + 3, and amounts are far below 2^63; two of them stay below 256 up to 2^31.
    u8::try_from(1 + 4 * u64::from(doublings) + fourths).unwrap_or(u8::MAX).min(127)
}

fn place(free: Amounts, index: u32) -> Place {
    let (cpu, mem) = (class(free.cpu), class(free.mem));
    (cpu + mem, cpu, index)
}

impl Shelf {
    /// All at once.
    pub(super) fn of(machines: impl Iterator<Item = (u32, Amounts)>) -> Self {
        Self(machines.map(|(index, free)| place(free, index)).collect())
    }

    pub(super) fn put(&mut self, index: u32, free: Amounts) {
        self.0.insert(place(free, index));
    }

    /// What is free of a machine has changed.
    pub(super) fn moved(&mut self, index: u32, before: Amounts, after: Amounts) {
        let (before, after) = (place(before, index), place(after, index));
        if before != after && self.0.remove(&before) {
            self.0.insert(after);
        }
    }

    /// The next machine from `cursor` on that has as much free, to within a class.
    pub(super) fn next(&self, needs: Amounts, cursor: &mut Cursor) -> Option<u32> {
        let (cpu, mem) = (class(needs.cpu), class(needs.mem));
        loop {
            let &(sum, has_cpu, index) = self.0.range(cursor.0..).next()?;
            cursor.0 = if sum < cpu + mem {
                (cpu + mem, cpu, 0)
            } else if has_cpu < cpu {
                (sum, cpu, 0)
            } else if sum - has_cpu < mem {
                // All further ones of this sum have still less memory.
                (sum.checked_add(1)?, cpu, 0)
            } else {
                cursor.0 = (sum, has_cpu, index.checked_add(1)?);
                return Some(index);
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_class_never_falls_as_the_amount_grows(one in 0u64..1 << 31, more in 0u64..1 << 20) {
            prop_assert!(class(one) <= class(one + more));
        }

        #[test]
        fn whatever_has_room_is_found_once_the_fullest_first(
            free in proptest::collection::vec((0u64..5000, 0u64..5000), 0..60),
            cpu in 0u64..5000, mem in 0u64..5000,
        ) {
            let free: Vec<_> =
                free.into_iter().map(|(cpu, mem)| Amounts { cpu, mem, disk: 0 }).collect();
            let shelf = Shelf::of((0..).zip(free.iter().copied()));
            let needs = Amounts { cpu, mem, disk: 0 };
            let mut cursor = Cursor::default();
            let found: Vec<u32> = std::iter::from_fn(|| shelf.next(needs, &mut cursor)).collect();
            for (index, free) in (0u32..).zip(&free) {
                let times = found.iter().filter(|found| **found == index).count();
                prop_assert!(times <= 1);
                prop_assert!(times == 1 || !needs.fit_in(*free), "{free:?} has room");
            }
            let sum = |index: &u32| place(free[*index as usize], *index).0;
            prop_assert!(found.is_sorted_by_key(sum));
        }
    }
}
