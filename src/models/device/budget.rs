//! Bytes that each session of a pipeline may hold. Pure.

/// Bytes for each session of a pipeline; 0 is any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemoryBudget {
    /// For making frames ready, and for all values that are kept between runs.
    pub(crate) ready: u64,
    /// For laying out the network's input.
    pub(crate) join: u64,
    /// For making new frames.
    pub(crate) finish: u64,
    /// For comparing frames.
    pub(crate) differ: u64,
}

impl MemoryBudget {
    pub(crate) fn sum(self) -> u64 {
        let all = [self.ready, self.join, self.finish, self.differ];
        all.into_iter().fold(0, u64::saturating_add)
    }

    /// Divides `limit` bytes in proportion to these; `None` if they are too few.
    pub(crate) fn of(self, limit: u64) -> Option<Self> {
        let needed = self.sum();
        if limit < needed {
            return None;
        }
        let part = |need: u64| {
            let part = u128::from(limit) * u128::from(need) / u128::from(needed.max(1));
            // 0 would be no limit
            u64::try_from(part).unwrap_or(u64::MAX).max(1)
        };
        Some(Self {
            ready: part(self.ready),
            join: part(self.join),
            finish: part(self.finish),
            differ: part(self.differ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_divided_and_one_that_is_too_small_refused() {
        let needed = MemoryBudget {
            ready: 60_000,
            join: 7,
            finish: 180_001,
            differ: 55_000,
        };
        let all = needed.sum();
        assert_eq!(needed.of(all), Some(needed));
        assert_eq!(needed.of(all - 1), None);
        for limit in [all + 1, 3 * all, u64::MAX] {
            let shares = needed.of(limit).unwrap();
            assert!(shares.sum() <= limit && shares.sum() > limit - 4, "{limit}");
            assert!(shares.ready >= needed.ready && shares.differ >= needed.differ);
        }
    }
}
