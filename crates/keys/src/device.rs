//! The key that signs checkpoints, inside a device that speaks PKCS #11: a hardware security module, or a program that
//! stands for one. The private half never leaves it.
//!
//! A device is named by a URI of RFC 7512. `token`, `object`, `module-path` and `pin-source` are needed and nothing else is
//! taken. Mechanisms are those of OASIS PKCS #11 3.0 for Ed25519: `CKM_EC_EDWARDS_KEY_PAIR_GEN`, `CKM_EDDSA`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as DeviceError, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use moneta_base::fs::FileSystem;
use moneta_base::percent;
use moneta_merkle::note::SIGNATURE_BYTES;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// `edwards25519` as a PrintableString, the name of the curve (RFC 8410, PKCS #11 3.0 section 2.3.5).
const CURVE: &[u8] = b"\x13\x0cedwards25519";
/// What a key signs when it is opened, to see that its two halves belong together.
const TRIAL: &[u8] = b"moneta: the key that signs is the key that is shown";

/// Where a key is: a URI of RFC 7512.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceUri {
    text: String,
    /// `module-path`: the library of the device's maker.
    module: PathBuf,
    /// `token`: the label of the token.
    token: String,
    /// `object`: the label of the key.
    object: String,
    /// `pin-source`: the file with the PIN of the token's user.
    pin_file: PathBuf,
}

impl DeviceUri {
    /// Reads `pkcs11:token=…;object=…?module-path=…&pin-source=file:…`.
    ///
    /// # Errors
    /// [`Error::DeviceUri`], which says what is missing or not known.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |reason: String| Error::DeviceUri { text: text.to_owned(), reason };
        let rest = text.strip_prefix("pkcs11:").ok_or_else(|| wrong("it does not begin with pkcs11:".to_owned()))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (mut module, mut token, mut object, mut pin) = (None, None, None, None);
        for part in path.split(';').chain(query.split('&')).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| wrong(format!("{part:?} has no value")))?;
            let value = percent::decode(value).ok_or_else(|| wrong(format!("{name} is not percent-encoded UTF-8")))?;
            let place = match name {
                "module-path" => &mut module,
                "token" => &mut token,
                "object" => &mut object,
                "pin-source" => &mut pin,
                _ => return Err(wrong(format!("{name} is not token, object, module-path or pin-source"))),
            };
            if value.is_empty() || place.replace(value).is_some() {
                return Err(wrong(format!("{name} is empty or stands twice")));
            }
        }
        let needed = |name: &str, value: Option<String>| value.ok_or_else(|| wrong(format!("{name} is missing")));
        let pin = needed("pin-source", pin)?;
        Ok(Self {
            module: needed("module-path", module)?.into(),
            token: needed("token", token)?,
            object: needed("object", object)?,
            pin_file: pin.strip_prefix("file:").unwrap_or(&pin).into(),
            text: text.to_owned(),
        })
    }

    /// The URI as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn failed(&self, what: &str, error: &DeviceError) -> Error {
        Error::Device { uri: self.text.clone(), reason: format!("{what}: {error}") }
    }
}

/// A key in a device, and the way to it.
pub(crate) struct DeviceKey {
    uri: DeviceUri,
    fs: Arc<dyn FileSystem>,
    public_key: [u8; 32],
    /// A session that is lost is opened anew with the next signature.
    open: Mutex<Option<OpenKey>>,
}

struct OpenKey {
    session: Session,
    private: ObjectHandle,
}

impl DeviceKey {
    /// Opens the key of that label, or makes it where there is none and one may be made. It cannot be extracted.
    pub(crate) fn open(fs: &Arc<dyn FileSystem>, uri: &DeviceUri, may_make: bool) -> Result<Self> {
        let session = session(&**fs, uri)?;
        let failed = |error: DeviceError| uri.failed("the key", &error);
        let (private, public) = match (find(&session, uri, ObjectClass::PRIVATE_KEY)?, may_make) {
            (Some(private), _) => {
                let public = find(&session, uri, ObjectClass::PUBLIC_KEY)?;
                (private, public.ok_or_else(|| no_key(uri, "the token has no public key of that label"))?)
            }
            (None, true) => {
                let label = Attribute::Label(uri.object.clone().into_bytes());
                let of_public = [Attribute::Token(true), Attribute::Private(false), Attribute::Verify(true)];
                let of_public = [of_public.as_slice(), &[label.clone(), Attribute::EcParams(CURVE.to_vec())]].concat();
                let of_private = [Attribute::Token(true), Attribute::Private(true), Attribute::Sensitive(true)];
                let of_private =
                    [of_private.as_slice(), &[Attribute::Extractable(false), Attribute::Sign(true), label]].concat();
                let made = session.generate_key_pair(&Mechanism::EccEdwardsKeyPairGen, &of_public, &of_private);
                made.map(|(public, private)| (private, public)).map_err(failed)?
            }
            (None, false) => return Err(no_key(uri, "the token has no key of that label that signs")),
        };
        let attributes = session.get_attributes(public, &[AttributeType::EcPoint]).map_err(failed)?;
        let public_key = attributes.iter().find_map(point).ok_or_else(|| no_key(uri, "it is not an Ed25519 key"))?;
        let key = Self { uri: uri.clone(), fs: fs.clone(), public_key, open: Mutex::new(None) };
        *key.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(OpenKey { session, private });
        let signature = key.sign(TRIAL).map_err(|reason| Error::Device { uri: uri.text.clone(), reason })?;
        match UnparsedPublicKey::new(&ED25519, key.public_key).verify(TRIAL, &signature) {
            Ok(()) => Ok(key),
            Err(_) => Err(no_key(uri, "the private and the public key of that label do not belong together")),
        }
    }

    pub(crate) fn uri(&self) -> &DeviceUri {
        &self.uri
    }

    pub(crate) fn public_key(&self) -> [u8; 32] {
        self.public_key
    }

    /// Signs; where the session was lost, once more in a new one.
    pub(crate) fn sign(&self, message: &[u8]) -> std::result::Result<[u8; SIGNATURE_BYTES], String> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Ok(signature)) = open.as_ref().map(|open| open.sign(message)) {
            return Ok(signature);
        }
        *open = None;
        let session = session(&*self.fs, &self.uri).map_err(|error| error.to_string())?;
        let private = find(&session, &self.uri, ObjectClass::PRIVATE_KEY).map_err(|error| error.to_string())?;
        let private = private.ok_or("the token no longer has the key")?;
        open.insert(OpenKey { session, private }).sign(message)
    }
}

impl OpenKey {
    fn sign(&self, message: &[u8]) -> std::result::Result<[u8; SIGNATURE_BYTES], String> {
        let mechanism = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure));
        let signature = self.session.sign(&mechanism, self.private, message).map_err(|error| error.to_string())?;
        signature.try_into().map_err(|_| "the signature is not of 64 bytes".to_owned())
    }
}

/// A session of the token's user.
fn session(fs: &dyn FileSystem, uri: &DeviceUri) -> Result<Session> {
    let module = Pkcs11::new(&uri.module).map_err(|error| uri.failed("the module", &error))?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(DeviceError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(uri.failed("the module", &error)),
    }
    let slots = module.get_slots_with_token().map_err(|error| uri.failed("the slots", &error))?;
    let has_label = |slot: &cryptoki::slot::Slot| {
        module.get_token_info(*slot).is_ok_and(|token| token.label().trim_end() == uri.token)
    };
    let slot = slots.into_iter().find(has_label).ok_or_else(|| no_key(uri, "there is no token of that label"))?;
    let session = module.open_rw_session(slot).map_err(|error| uri.failed("a session", &error))?;
    match session.login(UserType::User, Some(&pin(fs, &uri.pin_file)?)) {
        Ok(()) | Err(DeviceError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
        Err(error) => Err(uri.failed("the login", &error)),
    }
}

fn pin(fs: &dyn FileSystem, path: &Path) -> Result<AuthPin> {
    let bytes = fs.read(path).map(Zeroizing::new).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let text =
        std::str::from_utf8(&bytes).map_err(|_| Error::Corrupt { path: path.to_owned(), reason: "it is not text" })?;
    Ok(AuthPin::new(text.trim_end_matches(['\r', '\n']).into()))
}

/// The one key of the label; more than one is refused, for which of them signs would be chance.
fn find(session: &Session, uri: &DeviceUri, class: ObjectClass) -> Result<Option<ObjectHandle>> {
    let wanted = [
        Attribute::Class(class),
        Attribute::KeyType(KeyType::EC_EDWARDS),
        Attribute::Token(true),
        Attribute::Label(uri.object.clone().into_bytes()),
    ];
    let found = session.find_objects(&wanted).map_err(|error| uri.failed("the key", &error))?;
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        more => Err(no_key(uri, &format!("the token has {} keys of that label", more.len()))),
    }
}

fn no_key(uri: &DeviceUri, reason: &str) -> Error {
    Error::Device { uri: uri.text.clone(), reason: reason.to_owned() }
}

/// The 32 bytes of a public key: PKCS #11 3.0 has them as a DER OCTET STRING, some devices without.
fn point(attribute: &Attribute) -> Option<[u8; 32]> {
    let Attribute::EcPoint(bytes) = attribute else { return None };
    bytes.strip_prefix(b"\x04\x20").unwrap_or(bytes).try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "pkcs11:token=Log%20keys;object=moneta?module-path=/usr/lib/hsm.so&pin-source=file:/etc/pin";

    #[test]
    fn a_uri_says_where_a_key_is() {
        let uri = DeviceUri::parse(WHOLE).unwrap();
        assert_eq!((uri.token.as_str(), uri.object.as_str()), ("Log keys", "moneta"));
        assert_eq!((uri.module.to_str(), uri.pin_file.to_str()), (Some("/usr/lib/hsm.so"), Some("/etc/pin")));
        assert_eq!(uri.as_str(), WHOLE);
    }

    #[test]
    fn a_uri_that_does_not_say_it_is_refused_with_what_is_wrong() {
        for (from, to, reason) in [
            ("pkcs11:", "file:", "begin with pkcs11:"),
            ("token=Log%20keys;", "", "token is missing"),
            ("?module-path=/usr/lib/hsm.so&", "?", "module-path is missing"),
            ("object=moneta", "object=moneta;object=moneta", "object is empty or stands twice"),
            ("object=moneta", "object=", "object is empty or stands twice"),
            ("object=moneta", "serial=7", "serial is not token"),
            ("object=moneta", "object", "\"object\" has no value"),
            ("%20", "%2", "token is not percent-encoded"),
            ("%20", "%ff", "token is not percent-encoded"),
            ("&pin-source=file:/etc/pin", "&pin-value=1234", "pin-value is not"),
        ] {
            let error = DeviceUri::parse(&WHOLE.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(reason), "{to}: {error}");
        }
    }
}
