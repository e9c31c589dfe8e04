//! Conversions between units of measure: `convert_length(1.2, 'Mile', 'Kilometer')`.
//!
//! A unit is known by its singular name. An unknown unit, or one of another measure, gives null.

use super::Function;
use super::row::{Answer, Cell};

/// How a value in a unit becomes one in the base unit: times `factor`, plus `offset`.
type Unit = (&'static str, f64, f64);

macro_rules! converting {
    ($name:literal, $units:expr, $doc:literal, $call:literal, $result:literal) => {
        Function::row($name, &["(value: real, from: text, to: text) -> real"], |a, _| convert(a, $units))
            .doc($doc, &[(concat!("round(", $name, $call, ", 9)"), $result)])
    };
}

/// The declarations.
pub const FUNCTIONS: &[Function] = &[
    converting!("convert_angle", ANGLES, "An angle in another unit.", "(1.2, 'Degree', 'Arcminute')", "real(72)"),
    converting!(
        "convert_energy",
        ENERGIES,
        "An energy in another unit.",
        "(1.2, 'Joule', 'BritishThermalUnit')",
        "real(0.001137381)"
    ),
    converting!("convert_force", FORCES, "A force in another unit.", "(1.2, 'Newton', 'Decanewton')", "real(0.12)"),
    converting!("convert_length", LENGTHS, "A length in another unit.", "(1.2, 'Foot', 'Meter')", "real(0.36576)"),
    converting!("convert_mass", MASSES, "A mass in another unit.", "(1.2, 'Kilogram', 'Pound')", "real(2.645547146)"),
    converting!(
        "convert_speed",
        SPEEDS,
        "A speed in another unit.",
        "(1.2, 'MeterPerSecond', 'CentimeterPerHour')",
        "real(432000)"
    ),
    converting!(
        "convert_temperature",
        TEMPERATURES,
        "A temperature in another unit.",
        "(1.2, 'Kelvin', 'DegreeCelsius')",
        "real(-271.95)"
    ),
    converting!(
        "convert_volume",
        VOLUMES,
        "A volume in another unit.",
        "(1.2, 'CubicMeter', 'AcreFoot')",
        "real(0.000972856)"
    ),
];

fn convert<'a>(args: &[Cell<'a>], units: &[Unit]) -> Answer<'a> {
    let unit = |cell: Cell<'_>| units.iter().find(|(name, ..)| *name == cell.text());
    match (args[0].real(), unit(args[1]), unit(args[2])) {
        (Some(value), Some(from), Some(to)) if from.0 == to.0 => Answer::Real(value),
        (Some(value), Some(from), Some(to)) => Answer::Real(((value * from.1 + from.2) - to.2) / to.1),
        _ => Answer::Null,
    }
}

const PI: f64 = std::f64::consts::PI;

const ANGLES: &[Unit] = &[
    ("Arcminute", 1.0 / 60.0, 0.0),
    ("Arcsecond", 1.0 / 3600.0, 0.0),
    ("Centiradian", 1.8 / PI, 0.0),
    ("Deciradian", 18.0 / PI, 0.0),
    ("Degree", 1.0, 0.0),
    ("Gradian", 0.9, 0.0),
    ("Microdegree", 1e-6, 0.0),
    ("Microradian", 180e-6 / PI, 0.0),
    ("Millidegree", 1e-3, 0.0),
    ("Milliradian", 180e-3 / PI, 0.0),
    ("Nanodegree", 1e-9, 0.0),
    ("Nanoradian", 180e-9 / PI, 0.0),
    ("NatoMil", 360.0 / 6400.0, 0.0),
    ("Radian", 180.0 / PI, 0.0),
    ("Revolution", 360.0, 0.0),
    ("Tilt", 90.0, 0.0),
];

const BTU: f64 = 1_055.055_852_62;
const CALORIE: f64 = 4.184;
const THERM_EC: f64 = 1.055_055_852_62e8;
const THERM_IMPERIAL: f64 = 1.055_055_852_57e8;
const THERM_US: f64 = 1.054_804e8;
const ELECTRON_VOLT: f64 = 1.602_176_565e-19;

const ENERGIES: &[Unit] = &[
    ("BritishThermalUnit", BTU, 0.0),
    ("Calorie", CALORIE, 0.0),
    ("DecathermEc", 10.0 * THERM_EC, 0.0),
    ("DecathermImperial", 10.0 * THERM_IMPERIAL, 0.0),
    ("DecathermUs", 10.0 * THERM_US, 0.0),
    ("ElectronVolt", ELECTRON_VOLT, 0.0),
    ("Erg", 1e-7, 0.0),
    ("FootPound", 1.355_817_948, 0.0),
    ("GigabritishThermalUnit", 1e9 * BTU, 0.0),
    ("GigaelectronVolt", 1e9 * ELECTRON_VOLT, 0.0),
    ("Gigajoule", 1e9, 0.0),
    ("GigawattDay", 24.0 * 3600e9, 0.0),
    ("GigawattHour", 3600e9, 0.0),
    ("HorsepowerHour", 2.684_519_537_7e6, 0.0),
    ("Joule", 1.0, 0.0),
    ("KilobritishThermalUnit", 1e3 * BTU, 0.0),
    ("Kilocalorie", 1e3 * CALORIE, 0.0),
    ("KiloelectronVolt", 1e3 * ELECTRON_VOLT, 0.0),
    ("Kilojoule", 1e3, 0.0),
    ("KilowattDay", 24.0 * 3600e3, 0.0),
    ("KilowattHour", 3600e3, 0.0),
    ("MegabritishThermalUnit", 1e6 * BTU, 0.0),
    ("Megacalorie", 1e6 * CALORIE, 0.0),
    ("MegaelectronVolt", 1e6 * ELECTRON_VOLT, 0.0),
    ("Megajoule", 1e6, 0.0),
    ("MegawattDay", 24.0 * 3600e6, 0.0),
    ("MegawattHour", 3600e6, 0.0),
    ("Millijoule", 1e-3, 0.0),
    ("TeraelectronVolt", 1e12 * ELECTRON_VOLT, 0.0),
    ("TerawattDay", 24.0 * 3600e12, 0.0),
    ("TerawattHour", 3600e12, 0.0),
    ("ThermEc", THERM_EC, 0.0),
    ("ThermImperial", THERM_IMPERIAL, 0.0),
    ("ThermUs", THERM_US, 0.0),
    ("WattDay", 24.0 * 3600.0, 0.0),
    ("WattHour", 3600.0, 0.0),
];

const POUND: f64 = 0.453_592_37;
const GRAVITY: f64 = 9.806_65;

const FORCES: &[Unit] = &[
    ("Decanewton", 10.0, 0.0),
    ("Dyn", 1e-5, 0.0),
    ("KilogramForce", GRAVITY, 0.0),
    ("Kilonewton", 1e3, 0.0),
    ("KiloPond", GRAVITY, 0.0),
    ("KilopoundForce", 1e3 * POUND * GRAVITY, 0.0),
    ("Meganewton", 1e6, 0.0),
    ("Micronewton", 1e-6, 0.0),
    ("Millinewton", 1e-3, 0.0),
    ("Newton", 1.0, 0.0),
    ("OunceForce", POUND * GRAVITY / 16.0, 0.0),
    ("Poundal", POUND * 0.3048, 0.0),
    ("PoundForce", POUND * GRAVITY, 0.0),
    ("ShortTonForce", 2e3 * POUND * GRAVITY, 0.0),
    ("TonneForce", 1e3 * GRAVITY, 0.0),
];

const INCH: f64 = 0.0254;
const FOOT: f64 = 0.3048;
const MILE: f64 = 1_609.344;
const ASTRONOMICAL_UNIT: f64 = 1.495_978_707e11;
const PARSEC: f64 = 3.085_677_581_28e16;
const LIGHT_YEAR: f64 = 9.460_730_472_580_8e15;
const SOLAR_RADIUS: f64 = 6.955_1e8;

const LENGTHS: &[Unit] = &[
    ("Angstrom", 1e-10, 0.0),
    ("AstronomicalUnit", ASTRONOMICAL_UNIT, 0.0),
    ("Centimeter", 1e-2, 0.0),
    ("Chain", 66.0 * FOOT, 0.0),
    ("DataMile", 6000.0 * FOOT, 0.0),
    ("Decameter", 10.0, 0.0),
    ("Decimeter", 0.1, 0.0),
    ("DtpPica", INCH / 6.0, 0.0),
    ("DtpPoint", INCH / 72.0, 0.0),
    ("Fathom", 6.0 * FOOT, 0.0),
    ("Foot", FOOT, 0.0),
    ("Hand", 4.0 * INCH, 0.0),
    ("Hectometer", 100.0, 0.0),
    ("Inch", INCH, 0.0),
    ("KilolightYear", 1e3 * LIGHT_YEAR, 0.0),
    ("Kilometer", 1e3, 0.0),
    ("Kiloparsec", 1e3 * PARSEC, 0.0),
    ("LightYear", LIGHT_YEAR, 0.0),
    ("MegalightYear", 1e6 * LIGHT_YEAR, 0.0),
    ("Megaparsec", 1e6 * PARSEC, 0.0),
    ("Meter", 1.0, 0.0),
    ("Microinch", 1e-6 * INCH, 0.0),
    ("Micrometer", 1e-6, 0.0),
    ("Mil", 1e-3 * INCH, 0.0),
    ("Mile", MILE, 0.0),
    ("Millimeter", 1e-3, 0.0),
    ("Nanometer", 1e-9, 0.0),
    ("NauticalMile", 1852.0, 0.0),
    ("Parsec", PARSEC, 0.0),
    ("PrinterPica", INCH / 6.022, 0.0),
    ("PrinterPoint", INCH / 72.27, 0.0),
    ("Shackle", 27.432, 0.0),
    ("SolarRadius", SOLAR_RADIUS, 0.0),
    ("Twip", INCH / 1440.0, 0.0),
    ("UsSurveyFoot", 1200.0 / 3937.0, 0.0),
    ("Yard", 3.0 * FOOT, 0.0),
];

const MASSES: &[Unit] = &[
    ("Centigram", 1e-5, 0.0),
    ("Decagram", 1e-2, 0.0),
    ("Decigram", 1e-4, 0.0),
    ("EarthMass", 5.972_2e24, 0.0),
    ("Grain", POUND / 7000.0, 0.0),
    ("Gram", 1e-3, 0.0),
    ("Hectogram", 0.1, 0.0),
    ("Kilogram", 1.0, 0.0),
    ("Kilopound", 1e3 * POUND, 0.0),
    ("Kilotonne", 1e6, 0.0),
    ("LongHundredweight", 112.0 * POUND, 0.0),
    ("LongTon", 2240.0 * POUND, 0.0),
    ("Megapound", 1e6 * POUND, 0.0),
    ("Megatonne", 1e9, 0.0),
    ("Microgram", 1e-9, 0.0),
    ("Milligram", 1e-6, 0.0),
    ("Nanogram", 1e-12, 0.0),
    ("Ounce", POUND / 16.0, 0.0),
    ("Pound", POUND, 0.0),
    ("ShortHundredweight", 100.0 * POUND, 0.0),
    ("ShortTon", 2000.0 * POUND, 0.0),
    ("Slug", POUND * GRAVITY / FOOT, 0.0),
    ("SolarMass", 1.989_11e30, 0.0),
    ("Stone", 14.0 * POUND, 0.0),
    ("Tonne", 1e3, 0.0),
];

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;
const SURVEY_FOOT: f64 = 1200.0 / 3937.0;

const SPEEDS: &[Unit] = &[
    ("CentimeterPerHour", 1e-2 / HOUR, 0.0),
    ("CentimeterPerMinute", 1e-2 / MINUTE, 0.0),
    ("CentimeterPerSecond", 1e-2, 0.0),
    ("DecimeterPerMinute", 0.1 / MINUTE, 0.0),
    ("DecimeterPerSecond", 0.1, 0.0),
    ("FootPerHour", FOOT / HOUR, 0.0),
    ("FootPerMinute", FOOT / MINUTE, 0.0),
    ("FootPerSecond", FOOT, 0.0),
    ("InchPerHour", INCH / HOUR, 0.0),
    ("InchPerMinute", INCH / MINUTE, 0.0),
    ("InchPerSecond", INCH, 0.0),
    ("KilometerPerHour", 1e3 / HOUR, 0.0),
    ("KilometerPerMinute", 1e3 / MINUTE, 0.0),
    ("KilometerPerSecond", 1e3, 0.0),
    ("Knot", 1852.0 / HOUR, 0.0),
    ("MeterPerHour", 1.0 / HOUR, 0.0),
    ("MeterPerMinute", 1.0 / MINUTE, 0.0),
    ("MeterPerSecond", 1.0, 0.0),
    ("MicrometerPerMinute", 1e-6 / MINUTE, 0.0),
    ("MicrometerPerSecond", 1e-6, 0.0),
    ("MilePerHour", MILE / HOUR, 0.0),
    ("MillimeterPerHour", 1e-3 / HOUR, 0.0),
    ("MillimeterPerMinute", 1e-3 / MINUTE, 0.0),
    ("MillimeterPerSecond", 1e-3, 0.0),
    ("NanometerPerMinute", 1e-9 / MINUTE, 0.0),
    ("NanometerPerSecond", 1e-9, 0.0),
    ("UsSurveyFootPerHour", SURVEY_FOOT / HOUR, 0.0),
    ("UsSurveyFootPerMinute", SURVEY_FOOT / MINUTE, 0.0),
    ("UsSurveyFootPerSecond", SURVEY_FOOT, 0.0),
    ("YardPerHour", 3.0 * FOOT / HOUR, 0.0),
    ("YardPerMinute", 3.0 * FOOT / MINUTE, 0.0),
    ("YardPerSecond", 3.0 * FOOT, 0.0),
];

const TEMPERATURES: &[Unit] = &[
    ("DegreeCelsius", 1.0, 273.15),
    ("DegreeDelisle", -2.0 / 3.0, 373.15),
    ("DegreeFahrenheit", 5.0 / 9.0, 459.67 * 5.0 / 9.0),
    ("DegreeNewton", 100.0 / 33.0, 273.15),
    ("DegreeRankine", 5.0 / 9.0, 0.0),
    ("DegreeReaumur", 1.25, 273.15),
    ("DegreeRoemer", 40.0 / 21.0, 273.15 - 7.5 * 40.0 / 21.0),
    ("Kelvin", 1.0, 0.0),
    ("MillidegreeCelsius", 1e-3, 273.15),
    ("SolarTemperature", 5778.0, 0.0),
];

const CUBIC_FOOT: f64 = FOOT * FOOT * FOOT;
const CUBIC_INCH: f64 = INCH * INCH * INCH;
const US_GALLON: f64 = 231.0 * CUBIC_INCH;
const IMPERIAL_GALLON: f64 = 4.546_09e-3;
const METRIC_TEASPOON: f64 = 5e-6;

const VOLUMES: &[Unit] = &[
    ("AcreFoot", 43_560.0 * CUBIC_FOOT, 0.0),
    ("AuTablespoon", 20e-6, 0.0),
    ("BoardFoot", CUBIC_FOOT / 12.0, 0.0),
    ("Centiliter", 1e-5, 0.0),
    ("CubicCentimeter", 1e-6, 0.0),
    ("CubicDecimeter", 1e-3, 0.0),
    ("CubicFoot", CUBIC_FOOT, 0.0),
    ("CubicHectometer", 1e6, 0.0),
    ("CubicInch", CUBIC_INCH, 0.0),
    ("CubicKilometer", 1e9, 0.0),
    ("CubicMeter", 1.0, 0.0),
    ("CubicMicrometer", 1e-18, 0.0),
    ("CubicMile", MILE * MILE * MILE, 0.0),
    ("CubicMillimeter", 1e-9, 0.0),
    ("CubicYard", 27.0 * CUBIC_FOOT, 0.0),
    ("Decaliter", 1e-2, 0.0),
    ("DecausGallon", 10.0 * US_GALLON, 0.0),
    ("Deciliter", 1e-4, 0.0),
    ("DeciusGallon", 0.1 * US_GALLON, 0.0),
    ("HectocubicFoot", 100.0 * CUBIC_FOOT, 0.0),
    ("HectocubicMeter", 100.0, 0.0),
    ("Hectoliter", 0.1, 0.0),
    ("HectousGallon", 100.0 * US_GALLON, 0.0),
    ("ImperialBeerBarrel", 36.0 * IMPERIAL_GALLON, 0.0),
    ("ImperialGallon", IMPERIAL_GALLON, 0.0),
    ("ImperialOunce", IMPERIAL_GALLON / 160.0, 0.0),
    ("ImperialPint", IMPERIAL_GALLON / 8.0, 0.0),
    ("ImperialQuart", IMPERIAL_GALLON / 4.0, 0.0),
    ("KilocubicFoot", 1e3 * CUBIC_FOOT, 0.0),
    ("KilocubicMeter", 1e3, 0.0),
    ("KiloimperialGallon", 1e3 * IMPERIAL_GALLON, 0.0),
    ("Kiloliter", 1.0, 0.0),
    ("KilousGallon", 1e3 * US_GALLON, 0.0),
    ("Liter", 1e-3, 0.0),
    ("MegacubicFoot", 1e6 * CUBIC_FOOT, 0.0),
    ("MegaimperialGallon", 1e6 * IMPERIAL_GALLON, 0.0),
    ("Megaliter", 1e3, 0.0),
    ("MegausGallon", 1e6 * US_GALLON, 0.0),
    ("MetricCup", 250e-6, 0.0),
    ("MetricTeaspoon", METRIC_TEASPOON, 0.0),
    ("Microliter", 1e-9, 0.0),
    ("Milliliter", 1e-6, 0.0),
    ("OilBarrel", 42.0 * US_GALLON, 0.0),
    ("UkTablespoon", 15e-6, 0.0),
    ("UsBeerBarrel", 31.0 * US_GALLON, 0.0),
    ("UsCustomaryCup", US_GALLON / 16.0, 0.0),
    ("UsGallon", US_GALLON, 0.0),
    ("UsLegalCup", 240e-6, 0.0),
    ("UsOunce", US_GALLON / 128.0, 0.0),
    ("UsPint", US_GALLON / 8.0, 0.0),
    ("UsQuart", US_GALLON / 4.0, 0.0),
    ("UsTablespoon", US_GALLON / 256.0, 0.0),
    ("UsTeaspoon", US_GALLON / 768.0, 0.0),
];
