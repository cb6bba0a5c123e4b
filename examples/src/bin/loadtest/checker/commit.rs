//! A commit, decoded by the table of formats in DESIGN.md alone: no code of the writer is used.

use ciborium::Value;

/// What the rules look at of a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) id: u128,
    pub(crate) entity: String,
    pub(crate) before: u64,
    pub(crate) last: u64,
    /// Sequences of earlier commits, newest first.
    pub(crate) earlier: Vec<u64>,
    /// The sequence of the last commit that its snapshot covers.
    pub(crate) covered: Option<u64>,
    /// Ids and versions of its commands.
    pub(crate) commands: Vec<(u128, u64)>,
    /// Versions of its events.
    pub(crate) events: Vec<u64>,
}

impl Commit {
    pub(crate) fn read(payload: &[u8]) -> Result<Self, String> {
        let value: Value = ciborium::from_reader(payload).map_err(|error| error.to_string())?;
        let fields = value.as_map().ok_or("it is no map")?;
        let field = |number: u64| {
            let mut found = fields.iter().filter(|(key, _)| *key == Value::from(number));
            found.next().map(|(_, value)| value)
        };
        let need = |number| field(number).ok_or_else(|| format!("it has no field {number}"));
        if need(0)? != &Value::from(1) {
            return Err(format!("its format is {:?}", need(0)?));
        }
        let mut earlier: Vec<u64> = Vec::new();
        for item in items(field(9))? {
            let number = uint(item)?;
            let sequence = match earlier.last() {
                Some(later) => later.checked_sub(number).ok_or("its list rises")?,
                None => number,
            };
            earlier.push(sequence);
        }
        let covered = items(field(10))?.get(1).map(uint).transpose()?;
        let command = |item| Ok::<_, String>((bits(part(item, 0)?)?, uint(part(item, 1)?)?));
        let event = |item| uint(part(item, 0)?);
        Ok(Self {
            id: bits(need(1)?)?,
            entity: need(4)?
                .as_text()
                .ok_or("its entity is no text")?
                .to_owned(),
            before: uint(need(7)?)?,
            last: uint(need(8)?)?,
            earlier,
            covered,
            commands: items(field(12))?
                .iter()
                .map(command)
                .collect::<Result<_, _>>()?,
            events: items(field(13))?
                .iter()
                .map(event)
                .collect::<Result<_, _>>()?,
        })
    }
}

/// The items of an array; none where there is no such field.
fn items(value: Option<&Value>) -> Result<&[Value], String> {
    match value {
        None => Ok(&[]),
        Some(value) => Ok(value.as_array().ok_or("a list is no array")?),
    }
}

fn part(item: &Value, place: usize) -> Result<&Value, String> {
    let parts = item.as_array().and_then(|parts| parts.get(place));
    parts.ok_or_else(|| format!("{item:?} has no part {place}"))
}

fn uint(value: &Value) -> Result<u64, String> {
    let integer = value
        .as_integer()
        .and_then(|integer| integer.try_into().ok());
    integer.ok_or_else(|| format!("{value:?} is no number of 64 bits"))
}

fn bits(value: &Value) -> Result<u128, String> {
    let bytes = value.as_bytes().map(|bytes| bytes.as_slice().try_into());
    match bytes {
        Some(Ok(bytes)) => Ok(u128::from_be_bytes(bytes)),
        Some(Err(_)) | None => Err(format!("{value:?} is not 16 bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::Commit;

    #[test]
    fn the_golden_commit_is_read() {
        let text = include_str!("../../../../../core/tests/golden/commit.hex");
        let digits = text.lines().filter_map(|line| line.split('#').next());
        let digits: Vec<char> = digits
            .flat_map(str::chars)
            .filter(|c| c.is_ascii_hexdigit())
            .collect();
        let byte =
            |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
        let bytes: Vec<u8> = digits.chunks(2).map(byte).collect();
        let commit = Commit::read(&bytes).unwrap();
        assert_eq!(commit.entity, "alice@example.org");
        assert_eq!((commit.before, commit.last), (40, 43));
        assert_eq!(commit.earlier, [70_000, 69_999, 950]);
        assert_eq!(commit.covered, Some(940));
        assert_eq!(commit.events, [41, 43]);
        let versions: Vec<u64> = commit
            .commands
            .iter()
            .map(|(_, version)| *version)
            .collect();
        assert_eq!(versions, [41, 43]);
        assert!(Commit::read(&bytes[1..]).is_err());
        assert!(Commit::read(b"\xa1\x00\x02").is_err());
    }
}
