//! A set of rows of one block, as bits.

/// A set of rows. An empty set may have no words at all; sets that are combined have the same number of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    words: Vec<u64>,
}

impl Rows {
    /// No row, with room for `num_rows`.
    pub fn none(num_rows: usize) -> Self {
        Self { words: vec![0; num_rows.div_ceil(64)] }
    }

    /// Every row.
    pub fn all(num_rows: usize) -> Self {
        let mut words = vec![u64::MAX; num_rows.div_ceil(64)];
        if let (Some(last), used @ 1..) = (words.last_mut(), num_rows % 64) {
            *last = (1 << used) - 1;
        }
        Self { words }
    }

    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    pub fn contains(&self, row: usize) -> bool {
        self.words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    pub fn insert(&mut self, row: usize) {
        self.words[row / 64] |= 1 << (row % 64);
    }

    pub fn union_with(&mut self, other: &Self) {
        if self.words.is_empty() {
            self.words.clone_from(&other.words);
        } else {
            self.words.iter_mut().zip(&other.words).for_each(|(word, more)| *word |= more);
        }
    }

    pub fn intersection(&self, other: &Self) -> Self {
        Self { words: self.words.iter().zip(&other.words).map(|(a, b)| a & b).collect() }
    }

    pub fn difference(&self, other: &Self) -> Self {
        if other.words.is_empty() {
            return self.clone();
        }
        Self { words: self.words.iter().zip(&other.words).map(|(a, b)| a & !b).collect() }
    }

    /// The rows in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(index, word)| {
            let base = u32::try_from(index * 64).expect("a block has far fewer rows");
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(base + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_combine() {
        let mut odd = Rows::none(130);
        (1..130).step_by(2).for_each(|row| odd.insert(row));
        let all = Rows::all(130);
        assert_eq!(all.iter().count(), 130);
        assert_eq!(all.difference(&odd).iter().take(3).collect::<Vec<_>>(), [0, 2, 4]);
        assert_eq!(odd.intersection(&all), odd);
        assert!(odd.contains(129) && !odd.contains(128));
        let mut union = Rows::default();
        union.union_with(&odd);
        assert_eq!(union, odd);
        assert!(Rows::none(64).is_empty() && Rows::all(0).is_empty());
        assert_eq!(Rows::all(64).iter().count(), 64);
    }
}
