//! What a segment holds twice: the columns of paths and the term index, made again from the rows and compared.
//!
//! Nothing is proven by copies, but queries rely on them: one that says less than the rows hides events.

use arrow::array::{AsArray, RecordBatch, StringArray};
use bytes::Bytes;
use moneta_event::json_path::Paths;
use moneta_event::stored::{self, PATH_SEPARATOR};
use moneta_event::terms::{ColumnTerms, GroupTerms, Malformed, PLACES_KEY, TermsPlace, TextKind};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

/// What is wrong with the copies in a segment file, in the words of findings.
///
/// A file that cannot be read at all has none: whoever reads its rows reports that.
pub fn problems(file: &Bytes) -> Vec<String> {
    // A damaged file may trip an assertion of the reader.
    let found = std::panic::catch_unwind(|| {
        let metadata = ArrowReaderMetadata::load(file, ArrowReaderOptions::new()).ok()?;
        let groups = 0..metadata.metadata().num_row_groups();
        let places = places(&metadata);
        let mut problems = Vec::from_iter(places.as_ref().err().cloned());
        let places = places.unwrap_or_default();
        for group in groups {
            let Some(rows) = rows_of(file, &metadata, group) else { continue };
            problems.extend(path_problems(&rows));
            if let Some(place) = places.get(group) {
                problems.extend(term_problem(file, *place, &rows));
            }
        }
        Some(problems)
    });
    found.ok().flatten().unwrap_or_default()
}

fn places(metadata: &ArrowReaderMetadata) -> Result<Vec<TermsPlace>, String> {
    let pairs = metadata.metadata().file_metadata().key_value_metadata();
    let text = pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == PLACES_KEY)?.value.as_deref());
    let Some(text) = text else { return Ok(Vec::new()) };
    let places = TermsPlace::parse_all(text).ok_or("the places of its term index cannot be read")?;
    match places.is_empty() || places.len() == metadata.metadata().num_row_groups() {
        true => Ok(places),
        false => Err("it has not as many term indexes as row groups".to_owned()),
    }
}

/// The rows of one row group, as they stand in the file, with whole texts.
fn rows_of(file: &Bytes, metadata: &ArrowReaderMetadata, group: usize) -> Option<Vec<RecordBatch>> {
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata.clone());
    let rows = builder.with_row_groups(vec![group]).build().ok()?;
    rows.map(|rows| stored::fill_templates(&rows.ok()?).ok()).collect()
}

fn texts<'a>(rows: &'a RecordBatch, name: &str) -> Option<&'a StringArray> {
    rows.column_by_name(name)?.as_string_opt()
}

fn path_problems(rows: &[RecordBatch]) -> Vec<String> {
    let Some(first) = rows.first() else { return Vec::new() };
    let schema = first.schema();
    let companions = schema.fields().iter().filter(|field| stored::is_companion(field));
    let companions = companions.filter_map(|field| Some((field.name(), field.name().split_once(PATH_SEPARATOR)?)));
    let companions = companions.filter(|(_, (_, path))| path.starts_with('/'));
    let differs = |name: &str, base: &str, path: &str| {
        let paths = Paths::new(&[path]);
        rows.iter().any(|rows| match (texts(rows, base), texts(rows, name)) {
            (Some(base), Some(copy)) => !is_copy(&paths, base, copy),
            _ => true,
        })
    };
    let wrong = companions.filter(|(name, (base, path))| differs(name, base, path));
    wrong.map(|(name, (base, _))| format!("column {name} is not what stands in {base}")).collect()
}

fn is_copy(paths: &Paths, base: &StringArray, copy: &StringArray) -> bool {
    let mut found = Vec::new();
    base.iter().zip(copy).all(|(text, copy)| {
        paths.find(text.unwrap_or(""), &mut found);
        found[0] == copy
    })
}

fn term_problem(file: &Bytes, place: TermsPlace, rows: &[RecordBatch]) -> Option<String> {
    compare_terms(file, place, rows).unwrap_or_else(|Malformed(reason)| Some(format!("its term index: {reason}")))
}

fn compare_terms(file: &Bytes, place: TermsPlace, rows: &[RecordBatch]) -> Result<Option<String>, Malformed> {
    let start = usize::try_from(place.start).unwrap_or(usize::MAX);
    let index = file.get(start..start.saturating_add(place.len()));
    let index = index.ok_or_else(|| Malformed("it lies outside the file".to_owned()))?;
    let terms = GroupTerms::parse(&index[place.head()], place.blocks_len)?;
    let num_rows = rows.iter().map(RecordBatch::num_rows).sum();
    if terms.num_rows() != num_rows {
        return Ok(Some("its term index is of another number of rows".to_owned()));
    }
    let Some(first) = rows.first() else { return Ok(None) };
    let schema = first.schema();
    let own = schema.fields().iter().filter(|field| !stored::is_companion(field));
    let kind = |field: &std::sync::Arc<arrow::datatypes::Field>| {
        TextKind::of(moneta_event::ColumnType::of_field(field)?).map(|kind| (field.name().clone(), kind))
    };
    let indexed: Vec<_> = own.filter_map(kind).collect();
    if !terms.columns().eq(indexed.iter().map(|(name, _)| name.as_str())) {
        return Ok(Some("its term index is of other columns".to_owned()));
    }
    let fetch = |range: std::ops::Range<usize>| {
        index.get(range).map(<[u8]>::to_vec).ok_or_else(|| Malformed("it ends too early".to_owned()))
    };
    for (name, kind) in &indexed {
        let pieces = rows.iter().map(|rows| (texts(rows, name), rows.num_rows()));
        let expected = ColumnTerms::collect(num_rows, pieces, *kind);
        if let Some(problem) = terms.difference(name, &expected, &fetch)? {
            return Ok(Some(format!("its term index: {problem}")));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, ArrayRef};
    use arrow::datatypes::{DataType, Field, Schema};
    use moneta_event::ColumnType;
    use moneta_event::terms::{GroupWriter, Places};
    use parquet::arrow::ArrowWriter;
    use parquet::file::metadata::KeyValue;

    use super::*;

    /// A segment file of one row group with a `dynamic` column, one of its paths, and an index of `indexed`.
    fn file(texts: &[&str], copies: &[Option<&str>], indexed: &[&str], exchanged: bool) -> Bytes {
        let columns: [ArrayRef; 2] =
            [Arc::new(StringArray::from(texts.to_vec())), Arc::new(StringArray::from(copies.to_vec()))];
        let fields = [stored::parquet_field("P", ColumnType::Dynamic), Field::new("P#/a", DataType::Utf8, true)];
        let rows = RecordBatch::try_new(Arc::new(Schema::new(fields.to_vec())), columns.to_vec()).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
        writer.write(&rows).unwrap();
        let (mut writer, _) = writer.into_serialized_writer().unwrap();
        let array = StringArray::from(indexed.to_vec());
        let terms = ColumnTerms::collect(array.len(), [(Some(&array), array.len())], TextKind::Json);
        let mut index = GroupWriter::new(array.len());
        index.column(if exchanged { "Q" } else { "P" }, &terms);
        let (index, head_len) = index.finish();
        let mut places = Places::default();
        places.add(writer.bytes_written(), index.len(), head_len);
        writer.write_all(&index).unwrap();
        writer.append_key_value_metadata(KeyValue::new(PLACES_KEY.to_owned(), places.into_text()));
        writer.into_inner().unwrap().into()
    }

    #[test]
    fn copies_that_say_something_else_than_the_rows_are_found() {
        let texts = [r#"{"a":"word"}"#, r#"{"b":"other"}"#];
        let copies = [Some("\"word\""), None];
        assert_eq!(problems(&file(&texts, &copies, &texts, false)), Vec::<String>::new());
        let check = |file: Bytes, expected: &str| {
            let problems = problems(&file);
            assert!(matches!(problems.as_slice(), [only] if only.contains(expected)), "{problems:?}");
        };
        check(file(&texts, &[Some("\"Word\""), None], &texts, false), "column P#/a is not what stands in P");
        check(file(&texts, &[Some("\"word\""), Some("1")], &texts, false), "column P#/a is not what stands in P");
        check(file(&texts, &copies, &[texts[0], "{}"], false), "is said to have 1 keys, its rows have 2");
        check(file(&texts, &copies, &[texts[0], r#"{"b":"otter"}"#], false), "key \"otter\" or one before it");
        check(file(&texts, &copies, &[texts[1], texts[0]], false), "key \"other\" or one before it");
        check(file(&texts, &copies, &[texts[0], texts[1], ""], false), "another number of rows");
        check(file(&texts, &copies, &texts, true), "of other columns");
    }
}
