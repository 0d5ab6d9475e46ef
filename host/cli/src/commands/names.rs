//! Which of several names somebody means.

/// How near a name must be for it to be pointed out.
const NEAR: f64 = 0.8;
/// How many are pointed out.
const SHOWN: usize = 5;

/// What a word comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Meant<'a> {
    /// This one.
    One(&'a str),
    /// Any of these.
    Several(Vec<&'a str>),
    /// None, but it may be one of these, misspelt.
    None(Vec<&'a str>),
}

/// Which of these names is meant by `word`: the one that is it, or begins with it, or has it inside, if that is one. What is in
/// an earlier group goes before what is in a later one. A name that is merely like it is only pointed out: a command
/// on the wrong machine is worse than none.
pub fn meant<'a>(word: &str, groups: &[Vec<&'a str>]) -> Meant<'a> {
    let word = word.to_lowercase();
    let ways: [fn(&str, &str) -> bool; 3] = [
        |name, word| name == word,
        |name, word| name.starts_with(word),
        |name, word| name.contains(word),
    ];
    let all = || groups.iter().flatten().copied();
    if !word.is_empty() {
        for (is_it, group) in
            ways.iter().flat_map(|way| groups.iter().map(move |group| (way, group)))
        {
            let found: Vec<_> = group.iter().copied().filter(|name| is_it(name, &word)).collect();
            match found.as_slice() {
                [] => {}
                [one] => return Meant::One(one),
                _ => return Meant::Several(found),
            }
        }
    }
    let mut near: Vec<(f64, &str)> = all()
        .map(|name| (strsim::normalized_damerau_levenshtein(&word, name), name))
        .filter(|(near, _)| *near >= NEAR)
        .collect();
    near.sort_by(|(a, one), (b, other)| b.total_cmp(a).then(one.cmp(other)));
    Meant::None(near.into_iter().take(SHOWN).map(|(_, name)| name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(word: &str) -> Meant<'static> {
        let first = vec![
            "m-1",
            "m-10",
            "m-2",
            "redis.startup.com",
            "redis-cache.startup.com",
            "web.startup.com",
        ];
        let second =
            vec!["0.z-1.web.startup.com", "1.z-1.web.startup.com", "0.z-1.redis.startup.com"];
        meant(word, &[first, second])
    }

    #[test]
    fn the_whole_name_goes_before_its_beginning_and_that_before_a_part() {
        assert_eq!(find("m-1"), Meant::One("m-1"));
        assert_eq!(find("M-10"), Meant::One("m-10"));
        assert_eq!(find("web"), Meant::One("web.startup.com"));
        assert_eq!(find("redis."), Meant::One("redis.startup.com"));
        assert_eq!(find("1.z-1"), Meant::One("1.z-1.web.startup.com"));
        assert_eq!(find("cache"), Meant::One("redis-cache.startup.com"));
    }

    #[test]
    fn what_may_be_several_is_none_of_them() {
        assert_eq!(
            find("redis"),
            Meant::Several(vec!["redis.startup.com", "redis-cache.startup.com"])
        );
        assert_eq!(find("m-"), Meant::Several(vec!["m-1", "m-10", "m-2"]));
        let Meant::Several(all) = find("0.") else { panic!("two begin so") };
        assert_eq!(all.len(), 2);
    }

    #[test]
    fn what_is_misspelt_is_pointed_out_and_not_taken() {
        // Not every name that ends in the same domain.
        assert_eq!(find("rediss.startup.com"), Meant::None(vec!["redis.startup.com"]));
        assert_eq!(find("wep.startup.com"), Meant::None(vec!["web.startup.com"]));
        assert_eq!(find("nothing-like-it"), Meant::None(Vec::new()));
        assert_eq!(find(""), Meant::None(Vec::new()));
    }
}
