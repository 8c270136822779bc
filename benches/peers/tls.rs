//! An authority of our own and a certificate for loopback, by `openssl`.
//!
//! Must not know: who trusts it.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

/// Where the certificates and the key lie.
pub struct Authority(PathBuf);

impl Authority {
    /// Makes them in `dir`.
    ///
    /// # Errors
    /// There is no `openssl`.
    pub fn make(dir: &Path) -> Result<Self> {
        let made = Self(dir.to_owned());
        let extensions = dir.join("leaf.ext");
        fs::write(
            &extensions,
            "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=critical,CA:false\n",
        )?;
        let p256 = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        openssl(
            dir,
            &[
                &["req", "-x509"],
                &p256[..],
                &[
                    "-days",
                    "2",
                    "-subj",
                    "/CN=bench",
                    "-keyout",
                    "ca.key",
                    "-out",
                    "ca.pem",
                ],
            ]
            .concat(),
        )?;
        openssl(
            dir,
            &[
                &["req"],
                &p256[..],
                &["-subj", "/CN=127.0.0.1", "-keyout", "leaf.key", "-out", "leaf.csr"],
            ]
            .concat(),
        )?;
        openssl(
            dir,
            &[
                "x509",
                "-req",
                "-in",
                "leaf.csr",
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-days",
                "2",
                "-extfile",
                "leaf.ext",
                "-out",
                "leaf.pem",
            ],
        )?;
        Ok(made)
    }

    /// The authority, in PEM.
    pub fn root(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    /// The certificate for loopback, in PEM.
    pub fn certificate(&self) -> PathBuf {
        self.0.join("leaf.pem")
    }

    /// Its key.
    pub fn key(&self) -> PathBuf {
        self.0.join("leaf.key")
    }
}

fn openssl(dir: &Path, args: &[&str]) -> Result<()> {
    let done = Command::new("openssl")
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .context("openssl")?;
    ensure!(
        done.status.success(),
        "openssl: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(())
}
