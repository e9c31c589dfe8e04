//! Special functions of mathematics, and the functions of statistics made of them.

use std::f64::consts::PI;

use super::row::{Answer, Cell};
use super::{Function, Naming};

/// The declarations.
pub const FUNCTIONS: &[Function] = &[
    Function::row("gamma", &["(value: number) -> real"], |a, _| a[0].real().map(gamma).into())
        .naming(Naming::First)
        .doc("The gamma function.", &[("gamma(5)", "real(24)")]),
    Function::row("loggamma", &["(value: number) -> real"], |a, _| a[0].real().map(log_gamma).into())
        .naming(Naming::First)
        .doc("The logarithm of the absolute gamma function.", &[("loggamma(2)", "real(0)")]),
    Function::row("erf", &["(value: number) -> real"], |a, _| a[0].real().map(erf).into())
        .naming(Naming::First)
        .doc("The error function.", &[("erf(0)", "real(0)")]),
    Function::row("erfc", &["(value: number) -> real"], |a, _| a[0].real().map(erfc).into())
        .naming(Naming::First)
        .doc("One less the error function.", &[("erfc(0)", "real(1)")]),
    Function::row("beta_cdf", &["(x: number, alpha: number, beta: number) -> real"], |a, _| three(a, beta_cdf))
        .doc("The distribution function of the beta distribution.", &[("beta_cdf(0.5, 1, 1)", "real(0.5)")]),
    Function::row("beta_pdf", &["(x: number, alpha: number, beta: number) -> real"], |a, _| three(a, beta_pdf))
        .doc("The density of the beta distribution.", &[("round(beta_pdf(0.5, 2, 2), 9)", "real(1.5)")]),
    Function::row("beta_inv", &["(probability: number, alpha: number, beta: number) -> real"], |a, _| {
        // A probability outside of 0 to 1 has no quantile at all; a parameter outside its range makes it undefined.
        match a[0].real() {
            Some(probability) if (0.0..=1.0).contains(&probability) => three(a, beta_inv),
            _ => Answer::Null,
        }
    })
    .doc(
        "The quantile of the beta distribution; null for what is no probability.",
        &[("round(beta_inv(0.5, 1, 1), 9)", "real(0.5)"), ("beta_inv(1.5, 1, 1)", "real(null)")],
    ),
    Function::row(
        "welch_test",
        &["(mean1: number, variance1: number, count1: number, mean2: number, variance2: number, count2: number) -> real"],
        |a, _| {
            let numbers: Option<Vec<f64>> = a.iter().map(|cell| cell.real()).collect();
            let Some(n) = numbers else { return Answer::Null };
            welch((n[0], n[1], n[2]), (n[3], n[4], n[5])).into()
        },
    )
    .doc("The p-value of Welch's test for equal means.", &[("welch_test(1, 1, 10, 1, 2, 10)", "real(1)")]),
];

fn three<'a>(args: &[Cell<'a>], function: fn(f64, f64, f64) -> f64) -> Answer<'a> {
    match (args[0].real(), args[1].real(), args[2].real()) {
        (Some(x), Some(y), Some(z)) => function(x, y, z).into(),
        _ => Answer::Null,
    }
}

/// Lanczos' coefficients for g = 7 and nine terms.
const LANCZOS: [f64; 9] = [
    0.999_999_999_999_809_9,
    676.520_368_121_885_1,
    -1_259.139_216_722_402_8,
    771.323_428_777_653_1,
    -176.615_029_162_140_6,
    12.507_343_278_686_905,
    -0.138_571_095_265_720_12,
    9.984_369_578_019_572e-6,
    1.505_632_735_149_311_6e-7,
];

/// The gamma function; exact for whole numbers up to 171.
#[must_use]
pub fn gamma(x: f64) -> f64 {
    if x.fract() == 0.0 && (1.0..=171.0).contains(&x) {
        let mut product = 1.0;
        let mut factor = 2.0;
        while factor < x {
            product *= factor;
            factor += 1.0;
        }
        return product;
    }
    if x.fract() == 0.0 && x <= 0.0 {
        return f64::NAN;
    }
    if x < 0.5 {
        return PI / ((PI * x).sin() * gamma(1.0 - x));
    }
    log_gamma(x).exp()
}

/// The logarithm of the absolute value of the gamma function.
#[must_use]
pub fn log_gamma(x: f64) -> f64 {
    if x.fract() == 0.0 && (1.0..=30.0).contains(&x) {
        return gamma(x).ln();
    }
    if x < 0.5 {
        return (PI / (PI * x).sin().abs()).ln() - log_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let mut sum = LANCZOS[0];
    let mut term = 0.0;
    for coefficient in &LANCZOS[1..] {
        term += 1.0;
        sum += coefficient / (x + term);
    }
    let t = x + 7.5;
    0.5 * (2.0 * PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// The error function.
#[must_use]
pub fn erf(x: f64) -> f64 {
    if x.abs() < 2.0 { erf_series(x) } else { x.signum() * (1.0 - erfc_fraction(x.abs())) }
}

/// One less the error function, with all its digits where it is small.
#[must_use]
pub fn erfc(x: f64) -> f64 {
    if x.is_nan() {
        x
    } else if x >= 2.0 {
        erfc_fraction(x)
    } else {
        1.0 - erf(x)
    }
}

/// The series `2/sqrt(pi) e^-x^2 sum 2^n x^(2n+1) / (2n+1)!!`, whose terms are all of one sign.
fn erf_series(x: f64) -> f64 {
    let mut term = x;
    let mut sum = x;
    let mut odd = 1.0;
    while term.abs() > 1e-17 * sum.abs() {
        odd += 2.0;
        term *= 2.0 * x * x / odd;
        sum += term;
    }
    2.0 / PI.sqrt() * (-x * x).exp() * sum
}

/// The continued fraction of `erfc` for `x >= 2`, from its end.
fn erfc_fraction(x: f64) -> f64 {
    let mut fraction = x;
    let mut level = 120.0;
    while level > 0.0 {
        fraction = x + level / 2.0 / fraction;
        level -= 1.0;
    }
    (-x * x).exp() / (PI.sqrt() * fraction)
}

fn invalid(_: f64, alpha: f64, beta: f64) -> bool {
    alpha <= 0.0 || beta <= 0.0
}

/// The distribution function of the beta distribution; NaN outside its domain.
#[must_use]
pub fn beta_cdf(x: f64, alpha: f64, beta: f64) -> f64 {
    if invalid(x, alpha, beta) || !(0.0..=1.0).contains(&x) {
        return f64::NAN;
    }
    if x == 0.0 || x == 1.0 {
        return x;
    }
    let scale = (log_beta_factor(x, alpha, beta)).exp();
    // The fraction converges fast on one side of the mean only.
    if x < (alpha + 1.0) / (alpha + beta + 2.0) {
        scale * beta_fraction(x, alpha, beta) / alpha
    } else {
        1.0 - scale * beta_fraction(1.0 - x, beta, alpha) / beta
    }
}

/// The logarithm of `x^a (1-x)^b / B(a, b)`.
fn log_beta_factor(x: f64, alpha: f64, beta: f64) -> f64 {
    log_gamma(alpha + beta) - log_gamma(alpha) - log_gamma(beta) + alpha * x.ln() + beta * (-x).ln_1p()
}

/// The continued fraction of the incomplete beta function, by Lentz's method.
fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut result = d;
    let mut m = 1.0;
    while m < 1000.0 {
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away(1.0 + even * d);
        c = away(1.0 + even / c);
        result *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away(1.0 + odd * d);
        c = away(1.0 + odd / c);
        result *= d * c;
        if (d * c - 1.0).abs() < 1e-16 {
            break;
        }
        m += 1.0;
    }
    result
}

/// The density of the beta distribution; NaN outside its domain.
#[must_use]
pub fn beta_pdf(x: f64, alpha: f64, beta: f64) -> f64 {
    if invalid(x, alpha, beta) || !(0.0..=1.0).contains(&x) {
        return f64::NAN;
    }
    let power = |base: f64, exponent: f64| if exponent == 0.0 { 1.0 } else { base.powf(exponent) };
    let scale = log_gamma(alpha + beta) - log_gamma(alpha) - log_gamma(beta);
    scale.exp() * power(x, alpha - 1.0) * power(1.0 - x, beta - 1.0)
}

/// The quantile of the beta distribution, by bisection; NaN outside its domain.
#[must_use]
pub fn beta_inv(probability: f64, alpha: f64, beta: f64) -> f64 {
    if invalid(probability, alpha, beta) || !(0.0..=1.0).contains(&probability) {
        return f64::NAN;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if beta_cdf(middle, alpha, beta) < probability { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// The two-sided p-value of Welch's test; each side is mean, variance and count.
#[must_use]
pub fn welch(first: (f64, f64, f64), second: (f64, f64, f64)) -> f64 {
    let (a, b) = (first.1 / first.2, second.1 / second.2);
    let t = (first.0 - second.0) / (a + b).sqrt();
    let freedom = (a + b).powi(2) / (a * a / (first.2 - 1.0) + b * b / (second.2 - 1.0));
    beta_cdf(freedom / (freedom + t * t), freedom / 2.0, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 2e-12 * expected.abs().max(1e-3), "{found} instead of {expected}");
    }

    #[test]
    fn special_functions_agree_with_tables() {
        near(gamma(5.0), 24.0);
        near(gamma(0.5), PI.sqrt());
        near(gamma(-1.5), 4.0 * PI.sqrt() / 3.0);
        assert!(gamma(0.0).is_nan());
        near(log_gamma(100.5), 361.435_540_467_777_5);
        near(erf(1.0), 0.842_700_792_949_714_9);
        near(erf(-3.0), -0.999_977_909_503_001_4);
        near(erfc(3.0), 2.209_049_699_858_544e-5);
        near(erfc(2.0), 0.004_677_734_981_047_266);
    }

    #[test]
    fn the_beta_distribution_agrees_with_known_values() {
        near(beta_cdf(0.9, 10.0, 20.0), 0.999_999_999_999_959);
        near(beta_cdf(0.5, 2.0, 2.0), 0.5);
        assert!((beta_inv(0.1, 10.0, 20.0) - 0.226_415_022_388_749).abs() < 1e-12);
        near(beta_pdf(0.5, 2.0, 2.0), 1.5);
        assert!(beta_cdf(1.5, 10.0, 20.0).is_nan());
        assert!(beta_cdf(0.1, -1.0, 20.0).is_nan());
    }

    #[test]
    fn welch_agrees_with_a_published_example() {
        let p = welch((20.82, 7.898_857_142_857_14, 15.0), (22.986_666_666_666_665, 3.668_380_952_380_95, 15.0));
        // Integrated numerically from the density of the t distribution with the same degrees of freedom.
        assert!((p - 0.020_906_908).abs() < 1e-8, "{p}");
    }
}
