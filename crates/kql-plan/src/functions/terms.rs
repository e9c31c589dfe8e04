//! The text operators: `has`, `contains`, `startswith`, `=~` and their kin.
//!
//! A term is a maximal run of letters and digits (Unicode); everything else, `_` included, separates. The needle is
//! prepared once when it is constant. Total: a null side counts as the empty text.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;
use moneta_event::ColumnType;
use moneta_event::terms::is_term_char;
use moneta_kql::syntax::BinaryOperator;

use super::row::plain;

/// What a text operator looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextTest {
    /// The whole text.
    Equal,
    /// Anywhere.
    Contains,
    /// At the start.
    StartsWith,
    /// At the end.
    EndsWith,
    /// A whole term.
    Has,
    /// The start of a term.
    HasPrefix,
    /// The end of a term.
    HasSuffix,
    /// A regular expression.
    Regex,
}

/// A text operator: what it looks for, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TextOperator {
    /// What it looks for.
    pub test: TextTest,
    /// Whether case matters.
    pub case_sensitive: bool,
    /// Whether it is true when nothing is found.
    pub negated: bool,
}

impl TextOperator {
    /// The meaning of an operator of the language; `None` if it is no text operator.
    #[must_use]
    pub fn of(operator: BinaryOperator) -> Option<Self> {
        use BinaryOperator as B;
        use TextTest::{Contains, EndsWith, Equal, Has, HasPrefix, HasSuffix, Regex, StartsWith};
        let (test, case_sensitive, negated) = match operator {
            B::EqualCaseless => (Equal, false, false),
            B::NotEqualCaseless => (Equal, false, true),
            B::Has | B::ColumnHas => (Has, false, false),
            B::NotHas => (Has, false, true),
            B::HasCs => (Has, true, false),
            B::NotHasCs => (Has, true, true),
            B::HasPrefix => (HasPrefix, false, false),
            B::NotHasPrefix => (HasPrefix, false, true),
            B::HasPrefixCs => (HasPrefix, true, false),
            B::NotHasPrefixCs => (HasPrefix, true, true),
            B::HasSuffix => (HasSuffix, false, false),
            B::NotHasSuffix => (HasSuffix, false, true),
            B::HasSuffixCs => (HasSuffix, true, false),
            B::NotHasSuffixCs => (HasSuffix, true, true),
            B::Contains | B::Like => (Contains, false, false),
            B::NotContains | B::NotLike => (Contains, false, true),
            B::ContainsCs | B::LikeCs => (Contains, true, false),
            B::NotContainsCs | B::NotLikeCs => (Contains, true, true),
            B::StartsWith => (StartsWith, false, false),
            B::NotStartsWith => (StartsWith, false, true),
            B::StartsWithCs => (StartsWith, true, false),
            B::NotStartsWithCs => (StartsWith, true, true),
            B::EndsWith => (EndsWith, false, false),
            B::NotEndsWith => (EndsWith, false, true),
            B::EndsWithCs => (EndsWith, true, false),
            B::NotEndsWithCs => (EndsWith, true, true),
            B::MatchesRegex => (Regex, true, false),
            _ => return None,
        };
        Some(Self { test, case_sensitive, negated })
    }

    /// The name of the function DataFusion sees.
    #[must_use]
    pub fn name(self) -> &'static str {
        match (self.test, self.case_sensitive) {
            (TextTest::Equal, _) => "kql_equal_caseless",
            (TextTest::Contains, true) => "kql_contains_cs",
            (TextTest::Contains, false) => "kql_contains",
            (TextTest::StartsWith, true) => "kql_startswith_cs",
            (TextTest::StartsWith, false) => "kql_startswith",
            (TextTest::EndsWith, true) => "kql_endswith_cs",
            (TextTest::EndsWith, false) => "kql_endswith",
            (TextTest::Has, true) => "kql_has_cs",
            (TextTest::Has, false) => "kql_has",
            (TextTest::HasPrefix, true) => "kql_hasprefix_cs",
            (TextTest::HasPrefix, false) => "kql_hasprefix",
            (TextTest::HasSuffix, true) => "kql_hassuffix_cs",
            (TextTest::HasSuffix, false) => "kql_hassuffix",
            (TextTest::Regex, _) => "kql_matches_regex",
        }
    }
}

/// A needle prepared for many texts.
#[derive(Debug, Clone)]
pub struct Matcher {
    test: TextTest,
    needle: String,
    /// The place of the byte of the needle that is rarest in logs: few places have to be looked at twice.
    rare: usize,
    folding: Folding,
    finder: memchr::memmem::Finder<'static>,
    regex: Option<Arc<regex::Regex>>,
}

/// How case is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Folding {
    /// Case matters.
    Exact,
    /// It does not, and the needle is ASCII.
    Ascii,
    /// It does not, and the needle has other letters: both sides are lowered.
    Unicode,
}

impl Matcher {
    /// Prepares a needle. A regular expression that does not compile matches nothing; the binder refuses constant
    /// ones earlier.
    #[must_use]
    pub fn new(test: TextTest, case_sensitive: bool, needle: &str) -> Self {
        let regex = if test == TextTest::Regex { super::string::regex(needle) } else { None };
        let folding = match (case_sensitive, needle.is_ascii()) {
            (true, _) => Folding::Exact,
            (false, true) => Folding::Ascii,
            (false, false) => Folding::Unicode,
        };
        let needle = if folding == Folding::Exact { needle.to_owned() } else { needle.to_lowercase() };
        let finder = memchr::memmem::Finder::new(needle.as_bytes()).into_owned();
        let rare = (0..needle.len()).min_by_key(|at| commonness(needle.as_bytes()[*at])).unwrap_or(0);
        Self { test, needle, rare, folding, finder, regex }
    }

    /// Whether the text satisfies the test.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        if self.test == TextTest::Regex {
            return self.regex.as_ref().is_some_and(|regex| regex.is_match(text));
        }
        if self.folding == Folding::Unicode {
            return self.matches_folded(&text.to_lowercase());
        }
        self.matches_folded(text)
    }

    fn matches_folded(&self, text: &str) -> bool {
        let (haystack, needle) = (text.as_bytes(), self.needle.as_bytes());
        if haystack.len() < needle.len() {
            return false;
        }
        let same = |part: &[u8]| {
            if self.folding == Folding::Ascii { part.eq_ignore_ascii_case(needle) } else { part == needle }
        };
        match self.test {
            TextTest::Equal => haystack.len() == needle.len() && same(haystack),
            TextTest::StartsWith => same(&haystack[..needle.len()]),
            TextTest::EndsWith => same(&haystack[haystack.len() - needle.len()..]),
            TextTest::Contains => self.find(haystack, 0).is_some(),
            TextTest::Has | TextTest::HasPrefix | TextTest::HasSuffix => self.has(text),
            TextTest::Regex => false,
        }
    }

    /// The next place of the needle at or after `from`.
    fn find(&self, haystack: &[u8], from: usize) -> Option<usize> {
        let needle = self.needle.as_bytes();
        if needle.is_empty() {
            return (from <= haystack.len()).then_some(from);
        }
        if self.folding != Folding::Ascii {
            return self.finder.find(haystack.get(from..)?).map(|at| at + from);
        }
        let rare = needle[self.rare];
        let (lower, upper) = (rare.to_ascii_lowercase(), rare.to_ascii_uppercase());
        let last_start = haystack.len().checked_sub(needle.len())?;
        let mut at = from;
        while at <= last_start {
            at += memchr::memchr2(lower, upper, &haystack[at + self.rare..=last_start + self.rare])?;
            if haystack[at..at + needle.len()].eq_ignore_ascii_case(needle) {
                return Some(at);
            }
            at += 1;
        }
        None
    }

    fn has(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        let opens_with_term = self.needle.chars().next().is_some_and(is_term_char);
        let closes_with_term = self.needle.chars().next_back().is_some_and(is_term_char);
        let check_start = self.test != TextTest::HasSuffix && opens_with_term;
        let check_end = self.test != TextTest::HasPrefix && closes_with_term;
        let mut from = 0;
        while let Some(at) = self.find(bytes, from) {
            let end = at + self.needle.len();
            let starts = !check_start || !term_before(text, at);
            let ends = !check_end || !term_after(text, end);
            if starts && ends {
                return true;
            }
            from = at + 1;
        }
        false
    }
}

/// How common a byte of a lowered needle is in logs: zero for the rarest.
fn commonness(byte: u8) -> usize {
    const RARE_TO_COMMON: &[u8] = b"zqjxkvbywgpf,=:_/-.mucdlh9876543210rsnioate ";
    RARE_TO_COMMON.iter().position(|known| *known == byte).map_or(0, |place| place + 1)
}

/// Whether a letter or digit stands directly before a place.
fn term_before(text: &str, at: usize) -> bool {
    match at.checked_sub(1).map(|before| text.as_bytes()[before]) {
        None => false,
        Some(byte) if byte.is_ascii() => byte.is_ascii_alphanumeric(),
        Some(_) => text[..at].chars().next_back().is_some_and(is_term_char),
    }
}

/// Whether a letter or digit stands directly at a place.
fn term_after(text: &str, at: usize) -> bool {
    match text.as_bytes().get(at) {
        None => false,
        Some(byte) if byte.is_ascii() => byte.is_ascii_alphanumeric(),
        Some(_) => text[at..].chars().next().is_some_and(is_term_char),
    }
}

/// A text operator as DataFusion sees it: `name(text, needle)`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct TextFunction {
    operator: TextOperator,
    signature: Signature,
}

impl TextFunction {
    /// The expression of `text operator needle`; both are `string`s.
    #[must_use]
    pub fn call(operator: TextOperator, text: Expr, needle: Expr) -> Expr {
        let function = Self { operator, signature: Signature::any(2, Volatility::Immutable) };
        ScalarUDF::new_from_impl(function).call(vec![text, needle])
    }

    /// The operator.
    #[must_use]
    pub fn operator(&self) -> TextOperator {
        self.operator
    }
}

impl ScalarUDFImpl for TextFunction {
    fn name(&self) -> &str {
        self.operator.name()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let negation = if self.operator.negated { "not_" } else { "" };
        let args: Vec<String> = args.iter().map(|arg| arg.schema_name().to_string()).collect();
        Ok(format!("{negation}{}({})", self.name(), args.join(",")))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(ColumnType::Bool.field(self.name()).with_nullable(false)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [text, needle] = datafusion::common::utils::take_function_args(self.name(), args.args)?;
        let operator = self.operator;
        let fixed = match &needle {
            ColumnarValue::Scalar(scalar) => Some(matcher(operator, scalar.try_as_str().flatten().unwrap_or(""))),
            ColumnarValue::Array(_) => None,
        };
        match (text, fixed) {
            (ColumnarValue::Scalar(text), Some(fixed)) => {
                let found = fixed.matches(text.try_as_str().flatten().unwrap_or(""));
                Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(found != operator.negated))))
            }
            (ColumnarValue::Array(array), Some(fixed)) => {
                evaluate(&array, &|text| fixed.matches(text) != operator.negated).map(ColumnarValue::Array)
            }
            (text, None) => {
                let (texts, needles) =
                    (plain(&text.into_array(args.number_rows)?)?, plain(&needle.into_array(args.number_rows)?)?);
                let (texts, needles) = (texts.as_string::<i32>(), needles.as_string::<i32>());
                let found: BooleanArray = (0..args.number_rows)
                    .map(|row| {
                        let text = if texts.is_null(row) { "" } else { texts.value(row) };
                        let needle = if needles.is_null(row) { "" } else { needles.value(row) };
                        Some(matcher(operator, needle).matches(text) != operator.negated)
                    })
                    .collect();
                Ok(ColumnarValue::Array(Arc::new(found)))
            }
        }
    }
}

fn matcher(operator: TextOperator, needle: &str) -> Matcher {
    Matcher::new(operator.test, operator.case_sensitive, needle)
}

/// Runs a test over a text column; over a dictionary once per distinct value.
pub fn evaluate(array: &arrow::array::ArrayRef, test: &dyn Fn(&str) -> bool) -> Result<arrow::array::ArrayRef> {
    if let DataType::Dictionary(..) = array.data_type()
        && let Some(dictionary) = array.as_any_dictionary_opt()
    {
        let tested = evaluate(dictionary.values(), test)?;
        let keys = arrow::compute::cast(dictionary.keys(), &DataType::Int64)?;
        let taken = arrow::compute::take(&tested, &keys, None)?;
        return null_as(&taken, test(""));
    }
    let array = plain(array)?;
    let texts = array.as_string::<i32>();
    let absent = if texts.null_count() > 0 { test("") } else { false };
    let found = BooleanArray::from_unary(texts, test);
    if texts.null_count() == 0 {
        return Ok(Arc::new(BooleanArray::new(found.values().clone(), None)));
    }
    null_as(&(Arc::new(found) as arrow::array::ArrayRef), absent)
}

fn null_as(array: &arrow::array::ArrayRef, value: bool) -> Result<arrow::array::ArrayRef> {
    let found: BooleanArray = array.as_boolean().iter().map(|found| Some(found.unwrap_or(value))).collect();
    Ok(Arc::new(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(test: TextTest, case_sensitive: bool, text: &str, needle: &str, expected: bool) {
        let matcher = Matcher::new(test, case_sensitive, needle);
        assert_eq!(matcher.matches(text), expected, "{test:?} {text:?} {needle:?}");
    }

    #[test]
    fn a_needle_is_found_wherever_it_stands() {
        // The byte searched for first stands at the start, in the middle, and at the end of the needle.
        for needle in ["quiet", "exit", "sex", "x", "aaa"] {
            for before in ["", "x", "q e x", "aa"] {
                for after in ["", "x", "qu", "aa x"] {
                    let text = format!("{before}{}{after}", needle.to_uppercase());
                    check(TextTest::Contains, false, &text, needle, true);
                }
            }
            check(TextTest::Contains, false, &needle[1..], needle, false);
        }
        check(TextTest::Contains, false, "exi exti xeit", "exit", false);
    }

    #[test]
    fn has_finds_whole_terms_only() {
        use TextTest::{Has, HasPrefix, HasSuffix};
        check(Has, false, "North America", "america", true);
        check(Has, false, "NorthAmerica", "america", false);
        check(Has, false, "a_cmd_b", "cmd", true);
        check(Has, false, "cmd.exe /c", "cmd.exe", true);
        check(Has, false, "xcmd.exe cmd.exe", "cmd.exe", true);
        check(Has, false, "caf\u{e9}s", "caf", false);
        check(Has, false, "CAF\u{c9} au lait", "caf\u{e9}", true);
        check(Has, true, "Cmd", "cmd", false);
        check(Has, false, "a -enc b", "-enc", true);
        check(Has, false, "abc", "", true);
        check(HasPrefix, false, "one twofold", "two", true);
        check(HasPrefix, false, "one twofold", "fold", false);
        check(HasSuffix, false, "one twofold", "fold", true);
    }

    #[test]
    fn other_tests_look_at_characters() {
        use TextTest::{Contains, EndsWith, Equal, StartsWith};
        check(Contains, false, "FabriKam", "BRik", true);
        check(Contains, true, "FabriKam", "BRik", false);
        check(StartsWith, false, "Fabrikam", "FAB", true);
        check(EndsWith, false, "Fabrikam", "KAM", true);
        check(Equal, false, "\u{c4}b", "\u{e4}B", true);
        check(Contains, false, "ab", "abc", false);
    }
}
