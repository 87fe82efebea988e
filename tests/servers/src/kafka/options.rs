//! What the broker's file of settings says.

use super::{Broker, Ports};
use crate::certificates::Certificates;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Who may log in on the listeners that ask: the same by PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512.
#[derive(Clone, Debug)]
pub struct Account {
    pub name: String,
    pub password: String,
}

#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Adds the two listeners that ask for a name and a password: one without, one with encryption when `tls` is set.
    pub sasl: Option<Account>,
    /// Files with the private key (PKCS 8) and the certificate for 127.0.0.1, both PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Clients reach the listener without security through [`super::Broker::network`], which can be made bad.
    pub behind_proxy: bool,
    /// Its number, and the port of the controller that another broker has: no controller of its own.
    pub joins: Option<(u32, u16)>,
    /// More lines of `server.properties`.
    pub properties: Vec<(String, String)>,
}

impl Options {
    #[must_use]
    pub fn sasl(mut self, name: &str, password: &str) -> Self {
        self.sasl = Some(Account {
            name: name.to_owned(),
            password: password.to_owned(),
        });
        self
    }

    #[must_use]
    pub fn tls(mut self, certificates: &Certificates) -> Self {
        self.tls = Some((certificates.key(), certificates.certificate()));
        self
    }

    /// Broker `number` (from 2 on) of the cluster of a broker that was started before.
    #[must_use]
    pub fn joins(mut self, number: u32, first: &Broker) -> Self {
        self.joins = Some((number, first.ports.controller));
        self
    }

    #[must_use]
    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn scram_users(&self) -> Vec<String> {
        let user = |account: &Account, mechanism| {
            format!(
                "{mechanism}=[name={},password={}]",
                account.name, account.password
            )
        };
        let mechanisms = ["SCRAM-SHA-256", "SCRAM-SHA-512"];
        let account = self.sasl.iter();
        account
            .flat_map(|account| mechanisms.map(|mechanism| user(account, mechanism)))
            .collect()
    }

    /// `plaintext_port`: where clients reach the listener without security.
    pub(super) fn properties(&self, folder: &Path, ports: &Ports, plaintext_port: u16) -> String {
        let mut others = String::new();
        if self.sasl.is_some() {
            let _ = write!(others, ",SASL_PLAINTEXT://127.0.0.1:{}", ports.sasl);
        }
        if self.tls.is_some() {
            let kind = if self.sasl.is_some() { "SASL_SSL" } else { "SSL" };
            let _ = write!(others, ",{kind}://127.0.0.1:{}", ports.tls);
        }
        let (number, controller_port) = self.joins.unwrap_or((1, ports.controller));
        let controller = format!("127.0.0.1:{controller_port}");
        let (roles, controls) = match self.joins {
            None => ("broker,controller", format!(",CONTROLLER://{controller}")),
            Some(_) => ("broker", String::new()),
        };
        let mut lines = format!(
            "process.roles={roles}\n\
             node.id={number}\n\
             controller.quorum.voters=1@{controller}\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,\
             SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL\n\
             listeners=PLAINTEXT://127.0.0.1:{}{others}{controls}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{plaintext_port}{others}\n\
             log.dirs={}\n\
             offsets.topic.replication.factor=1\n\
             offsets.topic.num.partitions=4\n\
             transaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n\
             group.initial.rebalance.delay.ms=0\n",
            ports.plaintext,
            folder.join("data").display()
        );
        self.secure(&mut lines, folder);
        for (name, value) in &self.properties {
            let _ = writeln!(lines, "{name}={value}");
        }
        lines
    }

    fn secure(&self, lines: &mut String, folder: &Path) {
        if let Some(Account { name, password }) = &self.sasl {
            lines.push_str("sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n");
            for listener in ["sasl_plaintext", "sasl_ssl"] {
                let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
                let _ = write!(
                    lines,
                    "listener.name.{listener}.plain.sasl.jaas.config=\
                     org.apache.kafka.common.security.plain.PlainLoginModule required user_{name}=\"{password}\";\n\
                     listener.name.{listener}.scram-sha-256.sasl.jaas.config={scram}\n\
                     listener.name.{listener}.scram-sha-512.sasl.jaas.config={scram}\n"
                );
            }
        }
        if let Some((key, certificate)) = &self.tls {
            let both = folder.join("server.pem");
            let read = |file: &Path| std::fs::read_to_string(file).expect("certificates can be read");
            std::fs::write(&both, read(key) + &read(certificate)).expect("the folder is ours");
            let _ = write!(
                lines,
                "ssl.keystore.type=PEM\nssl.keystore.location={}\n",
                both.display()
            );
        }
    }
}
