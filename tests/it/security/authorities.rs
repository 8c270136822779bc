//! Certificates of every kind, made by the `openssl` command, and a server that shows one of them.
//!
//! Must not know: who connects, and whether that is right.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use crate::support::harness::Archive;

/// A certificate that a server shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Good,
    Expired,
    Future,
    WrongHost,
    UnknownAuthority,
    SelfSigned,
    /// No certificate yet: the server wants TLS 1.1.
    OldVersion,
    /// No certificate: the server speaks plain HTTP, and says so as others do.
    Nothing,
}

impl Shown {
    fn file(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Expired => "expired",
            Self::Future => "future",
            Self::WrongHost => "wrong-host",
            Self::UnknownAuthority => "unknown",
            Self::SelfSigned | Self::OldVersion | Self::Nothing => "self-signed",
        }
    }
}

/// Two authorities, `ca` and `other`, and what they signed: the files' contents by their names.
pub(super) struct Authorities(HashMap<String, Vec<u8>>);

const MAKE: &str = r#"
set -eu
printf '[req]\ndistinguished_name=dn\n[dn]\n[v3_ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n' > req.cnf
printf '[ca]\ndefault_ca=d\n[d]\nnew_certs_dir=.\ndatabase=index\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n' > ca.cnf
printf 'unique_subject=no\n[p]\ncommonName=supplied\n' >> ca.cnf
printf 'basicConstraints=CA:FALSE\nsubjectAltName=IP:127.0.0.1,DNS:localhost,DNS:media.test\n' > here.ext
printf 'basicConstraints=CA:FALSE\nsubjectAltName=IP:127.0.0.9,DNS:elsewhere.test\n' > elsewhere.ext
: > index
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2>/dev/null; }
for ca in ca other; do
    key $ca
    openssl req -x509 -new -key $ca.key -config req.cnf -extensions v3_ca -subj "/CN=$ca" -days 30 -out $ca.pem
done
leaf() {
    key "$1"
    openssl req -new -key "$1.key" -config req.cnf -subj "/CN=$1" -out "$1.csr"
    openssl ca -batch -notext -config ca.cnf -cert "$2.pem" -keyfile "$2.key" -in "$1.csr" -out "$1.pem" \
        -extfile "$3.ext" -startdate "$4" -enddate "$5"
}
now=20200101000000Z late=20490101000000Z
leaf good ca here $now $late
leaf expired ca here $now 20210101000000Z
leaf future ca here 20480101000000Z $late
leaf wrong-host ca elsewhere $now $late
leaf unknown other here $now $late
key self-signed
openssl req -x509 -new -key self-signed.key -config req.cnf -subj /CN=self -days 30 \
    -addext basicConstraints=CA:FALSE -addext subjectAltName=IP:127.0.0.1 -out self-signed.pem
"#;

impl Authorities {
    /// Made once for all tests.
    pub(super) fn get() -> &'static Self {
        static MADE: OnceLock<Authorities> = OnceLock::new();
        MADE.get_or_init(|| {
            let folder = tempfile::tempdir().expect("a folder");
            let made = Command::new("sh")
                .args(["-c", MAKE])
                .current_dir(folder.path())
                .output()
                .expect("a shell");
            let said = String::from_utf8_lossy(&made.stderr).into_owned();
            assert!(made.status.success(), "openssl could not make certificates: {said}");
            let files = fs::read_dir(folder.path()).expect("the folder").flatten();
            let read = |file: fs::DirEntry| (file.file_name().to_string_lossy().into_owned(), fs::read(file.path()));
            Self(
                files
                    .map(read)
                    .map(|(name, bytes)| (name, bytes.expect("a file")))
                    .collect(),
            )
        })
    }

    /// The certificate of the authority that is to be trusted.
    pub(super) fn ca(&self) -> &[u8] {
        &self.0["ca.pem"]
    }

    /// Makes an archive's birdkeep trust it.
    pub(super) fn trusted_by(&self, archive: &mut Archive) {
        fs::write(archive.root().join("ca.pem"), self.ca()).expect("a file");
        archive.set_text("tls.extra_ca_file", "ca.pem");
    }

    fn config(&self, shown: Shown) -> Arc<ServerConfig> {
        let file = |ending: &str| &self.0[&format!("{}.{ending}", shown.file())];
        let certificate = CertificateDer::from_pem_slice(file("pem")).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(file("key")).expect("a key");
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a certificate with its key");
        Arc::new(config)
    }
}

/// A TLS server before a plain one: passes on what it decrypts, under the name of the one behind it.
pub(super) struct Front {
    pub(super) address: SocketAddr,
    handshakes: Arc<AtomicUsize>,
    decrypted: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Front {
    /// A front that shows this certificate, before the server at `behind`.
    pub(super) async fn before(behind: &str, shown: Shown) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let acceptor = TlsAcceptor::from(Authorities::get().config(shown));
        let (handshakes, decrypted) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let behind: SocketAddr = behind.parse().expect("an address");
        let (begun, seen) = (Arc::clone(&handshakes), Arc::clone(&decrypted));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                begun.fetch_add(1, Ordering::SeqCst);
                let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    let instead = match shown {
                        Shown::Nothing => Some(PLAIN_REFUSAL.to_vec()),
                        Shown::OldVersion => Some(old_hello()),
                        _ => None,
                    };
                    if let Some(instead) = instead {
                        answer(stream, &seen, &instead).await;
                        return;
                    }
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let Ok(onward) = TcpStream::connect(behind).await else {
                        return;
                    };
                    let (mut from, mut to) = tokio::io::split(stream);
                    let (mut back, mut on) = onward.into_split();
                    tokio::spawn(async move {
                        let mut chunk = vec![0; 64 * 1024];
                        while let Ok(count @ 1..) = from.read(&mut chunk).await {
                            seen.fetch_add(count, Ordering::SeqCst);
                            let text = String::from_utf8_lossy(&chunk[..count])
                                .replace(&address.to_string(), &behind.to_string());
                            if on.write_all(text.as_bytes()).await.is_err() {
                                return;
                            }
                        }
                    });
                    let _ = tokio::io::copy(&mut back, &mut to).await;
                    let _ = to.shutdown().await;
                });
            }
        });
        Self {
            address,
            handshakes,
            decrypted,
            task,
        }
    }

    /// How many connections there were.
    pub(super) fn handshakes(&self) -> usize {
        self.handshakes.load(Ordering::SeqCst)
    }

    /// How many bytes a client gave away.
    pub(super) fn decrypted(&self) -> usize {
        self.decrypted.load(Ordering::SeqCst)
    }
}

const PLAIN_REFUSAL: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// A `ServerHello` of TLS 1.1 (RFC 4346, section 7.4.1.3): `TLS_RSA_WITH_AES_128_CBC_SHA`, no session.
fn old_hello() -> Vec<u8> {
    let mut hello = vec![0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 0x2f, 0]);
    hello
}

/// Counts what comes, unless it is the beginning of a handshake, and says this.
async fn answer(mut stream: TcpStream, seen: &AtomicUsize, instead: &[u8]) {
    const HANDSHAKE: u8 = 22;
    let mut chunk = vec![0; 64 * 1024];
    if let Ok(count @ 1..) = stream.read(&mut chunk).await
        && chunk[0] != HANDSHAKE
    {
        seen.fetch_add(count, Ordering::SeqCst);
    }
    let _ = stream.write_all(instead).await;
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}
