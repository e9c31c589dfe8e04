//! The canonical bytes of a stored row, over which its leaf hash is taken.
//!
//! The bytes name every field, so that an auditor needs no schema to read them, and leave out absent values, so that
//! a table may gain columns without changing old records. They are never stored: whoever checks recomputes them from
//! the row. What the block header says of all its rows (tenant, table, sequence, ingest time) is proven through the
//! header and is not repeated here.
//!
//! # Layout, version 1 (integers little-endian)
//! ```text
//! version      u8   = 1
//! num_fields   u16
//! num_fields times, in ascending byte order of the names:
//!   name_len   u16
//!   name       name_len bytes, UTF-8
//!   type       u8   1 bool, 2 int, 3 long, 4 real, 5 decimal, 6 string, 7 datetime, 8 timespan, 9 dynamic, 10 guid
//!   value_len  u32
//!   value      value_len bytes: bool 1 byte 0 or 1; int 4; long 8; real 8 (IEEE 754 bits); decimal 16 (unscaled,
//!              scale 18); string, dynamic, guid UTF-8; datetime 8 (nanoseconds since 1970-01-01T00:00:00Z);
//!              timespan 8 (nanoseconds)
//! ```
//! A null value and the empty string are absent: their field is left out.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes as dt;
use moneta_merkle::{Hash, leaf_hash};

use crate::ColumnType;
use crate::schema::IMPLIED_BY_HEADER;

/// Version byte of the encoding.
pub const VERSION: u8 = 1;

/// Encodes the rows of one batch.
///
/// # Shapes
/// The batch: any columns of [`ColumnType`] form; those implied by the block header are skipped. N rows give N byte
/// strings and N leaf hashes, in row order.
#[derive(Debug)]
pub struct RecordEncoder {
    fields: Vec<FieldEncoder>,
    num_rows: usize,
}

#[derive(Debug)]
struct FieldEncoder {
    name: String,
    /// `name_len`, `name` and `type`, ready to copy.
    prefix: Vec<u8>,
    array: ArrayRef,
}

/// A column that the record encoding has no form for.
#[derive(Debug, thiserror::Error)]
#[error("column {name:?} has type {data_type}, which no record can hold")]
pub struct UnsupportedColumn {
    /// The column.
    pub name: String,
    /// Its Arrow type.
    pub data_type: dt::DataType,
}

impl RecordEncoder {
    /// Prepares the columns of `batch`.
    ///
    /// # Errors
    /// [`UnsupportedColumn`] for an Arrow type that is none of the [`ColumnType`] forms.
    pub fn new(batch: &RecordBatch) -> Result<Self, UnsupportedColumn> {
        let schema = batch.schema();
        let mut fields = Vec::with_capacity(batch.num_columns());
        for (field, array) in schema.fields().iter().zip(batch.columns()) {
            if IMPLIED_BY_HEADER.contains(&field.name().as_str()) {
                continue;
            }
            fields.push(FieldEncoder::new(field, array)?);
        }
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { fields, num_rows: batch.num_rows() })
    }

    /// Writes the record of one row into `out`, replacing its content.
    pub fn encode(&self, row: usize, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&[VERSION, 0, 0]);
        let mut num_fields: u16 = 0;
        for field in &self.fields {
            num_fields += u16::from(field.encode(row, out));
        }
        out[1..3].copy_from_slice(&num_fields.to_le_bytes());
    }

    /// The RFC 6962 leaf hashes of all rows.
    #[must_use]
    pub fn leaf_hashes(&self) -> Vec<Hash> {
        let mut record = Vec::with_capacity(1024);
        (0..self.num_rows)
            .map(|row| {
                self.encode(row, &mut record);
                leaf_hash(&record)
            })
            .collect()
    }
}

impl FieldEncoder {
    fn new(field: &dt::Field, array: &ArrayRef) -> Result<Self, UnsupportedColumn> {
        let unsupported = || UnsupportedColumn { name: field.name().clone(), data_type: field.data_type().clone() };
        let column_type = ColumnType::of_field(field).ok_or_else(unsupported)?;
        let wanted = column_type.arrow();
        let array = match *array.data_type() == wanted {
            true => array.clone(),
            false => arrow::compute::cast(array, &wanted).map_err(|_| unsupported())?,
        };
        let mut prefix = u16::try_from(field.name().len()).map_err(|_| unsupported())?.to_le_bytes().to_vec();
        prefix.extend_from_slice(field.name().as_bytes());
        prefix.push(type_tag(column_type));
        Ok(Self { name: field.name().clone(), prefix, array })
    }

    /// Appends the field of a row; `false` when the value is absent and nothing was written.
    fn encode(&self, row: usize, out: &mut Vec<u8>) -> bool {
        if self.array.is_null(row) {
            return false;
        }
        let array = &self.array;
        match array.data_type() {
            dt::DataType::Utf8 => {
                let text = array.as_string::<i32>().value(row);
                if text.is_empty() {
                    return false;
                }
                self.write(text.as_bytes(), out);
            }
            dt::DataType::Boolean => self.write(&[u8::from(array.as_boolean().value(row))], out),
            dt::DataType::Int32 => self.write(&array.as_primitive::<dt::Int32Type>().value(row).to_le_bytes(), out),
            dt::DataType::Int64 => self.write(&array.as_primitive::<dt::Int64Type>().value(row).to_le_bytes(), out),
            dt::DataType::Float64 => {
                self.write(&array.as_primitive::<dt::Float64Type>().value(row).to_bits().to_le_bytes(), out)
            }
            dt::DataType::Decimal128(..) => {
                self.write(&array.as_primitive::<dt::Decimal128Type>().value(row).to_le_bytes(), out)
            }
            dt::DataType::Timestamp(..) => {
                self.write(&array.as_primitive::<dt::TimestampNanosecondType>().value(row).to_le_bytes(), out)
            }
            dt::DataType::Duration(_) => {
                self.write(&array.as_primitive::<dt::DurationNanosecondType>().value(row).to_le_bytes(), out)
            }
            other => unreachable!("cast to a ColumnType form, not {other}"),
        }
        true
    }

    fn write(&self, value: &[u8], out: &mut Vec<u8>) {
        let len = u32::try_from(value.len()).expect("an Arrow string value is shorter than 2 GiB");
        out.extend_from_slice(&self.prefix);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(value);
    }
}

/// The fields of a record, as its bytes say.
#[derive(Debug)]
pub struct RecordFields<'record>(BTreeMap<&'record str, (u8, &'record [u8])>);

/// Bytes that are no record.
#[derive(Debug, thiserror::Error)]
#[error("not a record: {0}")]
pub struct MalformedRecord(&'static str);

impl<'record> RecordFields<'record> {
    /// Reads a record.
    ///
    /// # Errors
    /// [`MalformedRecord`] when the bytes are not those of the layout to the last one.
    pub fn read(record: &'record [u8]) -> Result<Self, MalformedRecord> {
        let mut rest = record;
        if take(&mut rest, 1)? != [VERSION] {
            return Err(MalformedRecord("its version is another"));
        }
        let num_fields = take_u16(&mut rest)?;
        let mut fields = BTreeMap::new();
        for _ in 0..num_fields {
            let length = take_u16(&mut rest)?;
            let name = std::str::from_utf8(take(&mut rest, length.into())?);
            let name = name.map_err(|_| MalformedRecord("a name is not UTF-8"))?;
            let tag = take(&mut rest, 1)?[0];
            let length = take(&mut rest, 4)?.try_into().map_or(0, u32::from_le_bytes);
            let value = take(&mut rest, length as usize)?;
            if fields.last_key_value().is_some_and(|(last, _)| *last >= name) {
                return Err(MalformedRecord("its fields are not in order"));
            }
            fields.insert(name, (tag, value));
        }
        if rest.is_empty() { Ok(Self(fields)) } else { Err(MalformedRecord("it goes on after its last field")) }
    }

    /// The text of a field of type string, dynamic or guid; empty where there is none.
    #[must_use]
    pub fn text(&self, name: &str) -> &'record str {
        let is_text = |tag| [ColumnType::String, ColumnType::Dynamic, ColumnType::Guid].map(type_tag).contains(&tag);
        let value = self.0.get(name).filter(|(tag, _)| is_text(*tag));
        value.and_then(|(_, bytes)| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// The number of a field of type long.
    #[must_use]
    pub fn long(&self, name: &str) -> Option<i64> {
        let (_, bytes) = self.0.get(name).filter(|(tag, _)| *tag == type_tag(ColumnType::Long))?;
        Some(i64::from_le_bytes((*bytes).try_into().ok()?))
    }
}

fn take<'record>(rest: &mut &'record [u8], length: usize) -> Result<&'record [u8], MalformedRecord> {
    let (taken, after) = rest.split_at_checked(length).ok_or(MalformedRecord("it ends too early"))?;
    *rest = after;
    Ok(taken)
}

fn take_u16(rest: &mut &[u8]) -> Result<u16, MalformedRecord> {
    Ok(take(rest, 2)?.try_into().map_or(0, u16::from_le_bytes))
}

const fn type_tag(column_type: ColumnType) -> u8 {
    match column_type {
        ColumnType::Bool => 1,
        ColumnType::Int => 2,
        ColumnType::Long => 3,
        ColumnType::Real => 4,
        ColumnType::Decimal => 5,
        ColumnType::String => 6,
        ColumnType::DateTime => 7,
        ColumnType::TimeSpan => 8,
        ColumnType::Dynamic => 9,
        ColumnType::Guid => 10,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, StringArray};

    use super::*;

    fn batch(columns: Vec<(&str, ColumnType, ArrayRef)>) -> RecordBatch {
        let fields: Vec<_> = columns.iter().map(|(name, column_type, _)| column_type.field(name)).collect();
        RecordBatch::try_new(Arc::new(dt::Schema::new(fields)), columns.into_iter().map(|c| c.2).collect()).unwrap()
    }

    fn encode(batch: &RecordBatch, row: usize) -> Vec<u8> {
        let mut out = Vec::new();
        RecordEncoder::new(batch).unwrap().encode(row, &mut out);
        out
    }

    #[test]
    fn writes_present_fields_by_name_with_explicit_lengths() {
        let rows = batch(vec![
            ("b", ColumnType::String, Arc::new(StringArray::from(vec!["x", ""]))),
            ("a", ColumnType::Int, Arc::new(Int32Array::from(vec![Some(7), None]))),
            ("_Seq", ColumnType::Int, Arc::new(Int32Array::from(vec![1, 2]))),
        ]);
        assert_eq!(
            encode(&rows, 0),
            b"\x01\x02\x00\x01\x00a\x02\x04\x00\x00\x00\x07\x00\x00\x00\x01\x00b\x06\x01\x00\x00\x00x"
        );
        assert_eq!(encode(&rows, 1), b"\x01\x00\x00");
    }

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let rows = batch(vec![
            ("b", ColumnType::String, Arc::new(StringArray::from(vec!["x"]))),
            ("n", ColumnType::Long, Arc::new(arrow::array::Int64Array::from(vec![-7]))),
        ]);
        let record = encode(&rows, 0);
        let fields = RecordFields::read(&record).unwrap();
        assert_eq!((fields.text("b"), fields.text("n"), fields.text("c")), ("x", "", ""));
        assert_eq!((fields.long("n"), fields.long("b")), (Some(-7), None));
        for end in 0..record.len() {
            assert!(RecordFields::read(&record[..end]).is_err(), "cut at {end}");
        }
        assert!(RecordFields::read(&[&record[..], b"x"].concat()).is_err());
        let swapped = b"\x01\x02\x00\x01\x00b\x06\x01\x00\x00\x00x\x01\x00a\x06\x01\x00\x00\x00x";
        assert!(RecordFields::read(swapped).is_err(), "fields out of order");
    }

    #[test]
    fn column_order_and_absent_columns_do_not_change_the_record() {
        let name: ArrayRef = Arc::new(StringArray::from(vec!["n"]));
        let empty: ArrayRef = Arc::new(StringArray::from(vec![""]));
        let one = batch(vec![("x", ColumnType::String, name.clone())]);
        let two = batch(vec![("y", ColumnType::String, empty), ("x", ColumnType::String, name)]);
        assert_eq!(encode(&one, 0), encode(&two, 0));
    }

    #[test]
    fn a_dictionary_column_encodes_as_its_values() {
        let plain: ArrayRef = Arc::new(StringArray::from(vec!["n"]));
        let dictionary: arrow::array::DictionaryArray<dt::Int32Type> = vec!["n"].into_iter().collect();
        let field = dt::Field::new("x", dictionary.data_type().clone(), false)
            .with_metadata([(crate::types::TYPE_METADATA_KEY.to_owned(), "string".to_owned())].into());
        let coded = RecordBatch::try_new(Arc::new(dt::Schema::new(vec![field])), vec![Arc::new(dictionary)]).unwrap();
        assert_eq!(encode(&coded, 0), encode(&batch(vec![("x", ColumnType::String, plain)]), 0));
    }
}
