//! Who needs something of its own gets it, whichever: bipartite matching.

/// Those who need one, each with the numbers of what it may have.
#[derive(Clone, Debug, Default)]
pub(super) struct Matching(Vec<Vec<usize>>);

impl Matching {
    /// Adds one more; false if not all of them can have one of their own now.
    pub(super) fn add(&mut self, may_have: Vec<usize>) -> bool {
        self.0.push(may_have);
        let things = self.0.iter().flatten().max().map_or(0, |last| last + 1);
        let mut taken = vec![None; things];
        (0..self.0.len()).all(|at| self.finds(at, &mut taken, &mut vec![false; things]))
    }

    /// Finds one its own, if need be by finding another one for who has it (Kuhn's algorithm).
    fn finds(&self, at: usize, taken: &mut [Option<usize>], tried: &mut [bool]) -> bool {
        self.0[at].iter().any(|thing| {
            if std::mem::replace(&mut tried[*thing], true) {
                return false;
            }
            let free = taken[*thing].is_none_or(|other| self.finds(other, taken, tried));
            if free {
                taken[*thing] = Some(at);
            }
            free
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Matching;

    #[test]
    fn who_can_have_another_one_gives_way() {
        let mut matching = Matching::default();
        assert!(matching.add(vec![0, 1]));
        assert!(matching.add(vec![0]));
        assert!(!matching.add(vec![0, 1]));
        assert!(!Matching::default().add(Vec::new()));
    }
}
