//! The discrete Fourier transform of series of any length.
//!
//! Powers of two by the radix-2 algorithm; other lengths as a convolution of such a length (Bluestein's algorithm).

use std::f64::consts::PI;

use super::numbers::{Series, count, reals};
use crate::functions::row::{Answer, Cell};

/// A complex number.
type Complex = (f64, f64);

fn times(a: Complex, b: Complex) -> Complex {
    (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0)
}

/// The transform with the given sign of the exponent, not scaled.
fn transform(values: &[Complex], sign: f64) -> Vec<Complex> {
    if values.len().is_power_of_two() || values.is_empty() { radix2(values, sign) } else { bluestein(values, sign) }
}

fn radix2(values: &[Complex], sign: f64) -> Vec<Complex> {
    let len = values.len();
    if len < 2 {
        return values.to_vec();
    }
    let bits = len.trailing_zeros();
    let mut data: Vec<Complex> = (0..len).map(|index| values[index.reverse_bits() >> (usize::BITS - bits)]).collect();
    let mut half = 1;
    while half < len {
        let step = sign * PI / count(half);
        for start in (0..len).step_by(2 * half) {
            for offset in 0..half {
                let (sin, cos) = (step * count(offset)).sin_cos();
                let odd = times(data[start + offset + half], (cos, sin));
                let even = data[start + offset];
                data[start + offset] = (even.0 + odd.0, even.1 + odd.1);
                data[start + offset + half] = (even.0 - odd.0, even.1 - odd.1);
            }
        }
        half *= 2;
    }
    data
}

fn bluestein(values: &[Complex], sign: f64) -> Vec<Complex> {
    let len = values.len();
    let size = (2 * len - 1).next_power_of_two();
    // The square is reduced before it becomes an angle, so that the angle keeps its digits.
    let chirp: Vec<Complex> = (0..len)
        .map(|index| {
            let (sin, cos) = (sign * PI * count(index * index % (2 * len)) / count(len)).sin_cos();
            (cos, sin)
        })
        .collect();
    let mut left = vec![(0.0, 0.0); size];
    let mut right = vec![(0.0, 0.0); size];
    for index in 0..len {
        left[index] = times(values[index], chirp[index]);
        let conjugate = (chirp[index].0, -chirp[index].1);
        right[index] = conjugate;
        right[(size - index) % size] = conjugate;
    }
    let (left, right) = (radix2(&left, -1.0), radix2(&right, -1.0));
    let product: Vec<Complex> = left.into_iter().zip(right).map(|(a, b)| times(a, b)).collect();
    let convolved = radix2(&product, 1.0);
    let scale = 1.0 / count(size);
    (0..len).map(|index| times((convolved[index].0 * scale, convolved[index].1 * scale), chirp[index])).collect()
}

/// The transform of a complex series; the inverse is divided by its length.
#[must_use]
pub fn fourier(real: &[f64], imaginary: &[f64], inverse: bool) -> (Vec<f64>, Vec<f64>) {
    let values: Vec<Complex> =
        real.iter().enumerate().map(|(i, re)| (*re, imaginary.get(i).copied().unwrap_or(0.0))).collect();
    let scale = if inverse { 1.0 / count(values.len().max(1)) } else { 1.0 };
    let out = transform(&values, if inverse { 1.0 } else { -1.0 });
    (out.iter().map(|(re, _)| re * scale).collect(), out.iter().map(|(_, im)| im * scale).collect())
}

/// `series_fft` and `series_ifft`: an array of the real and the imaginary series.
pub fn series_fourier<'a>(args: &[Cell<'a>], inverse: bool) -> Answer<'a> {
    let read = |cell: &Cell<'_>| Series::read(cell.text()).and_then(|series| series.complete());
    let Some(real) = read(&args[0]) else { return Answer::Null };
    let imaginary = args.get(1).and_then(read).unwrap_or_default();
    if args.len() > 1 && imaginary.len() != real.len() {
        return Answer::Null;
    }
    let (real, imaginary) = fourier(&real, &imaginary, inverse);
    format!("[{},{}]", reals(&real), reals(&imaginary)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(real: &[f64], expected: &[Complex]) {
        let (re, im) = fourier(real, &[], false);
        for (index, (want_re, want_im)) in expected.iter().enumerate() {
            assert!((re[index] - want_re).abs() < 1e-9 && (im[index] - want_im).abs() < 1e-9, "{re:?} {im:?}");
        }
        let (back, none) = fourier(&re, &im, true);
        for (index, value) in real.iter().enumerate() {
            assert!((back[index] - value).abs() < 1e-9 && none[index].abs() < 1e-9);
        }
    }

    #[test]
    fn transforms_agree_with_the_definition() {
        check(&[1.0, 2.0, 3.0, 4.0], &[(10.0, 0.0), (-2.0, 2.0), (-2.0, 0.0), (-2.0, -2.0)]);
        let root = 3f64.sqrt() / 2.0;
        check(&[1.0, 2.0, 3.0], &[(6.0, 0.0), (-1.5, root), (-1.5, -root)]);
        check(&[5.0], &[(5.0, 0.0)]);
        check(&[0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 2.0], &[(3.0, 0.0)]);
    }
}
