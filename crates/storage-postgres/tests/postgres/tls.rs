//! Connections by TLS, with the server's certificate verified.

use crate::server::{Server, store_at};
use std::path::Path;
use storage::{CampaignStore, StorageError};
use test_servers::certificates::Certificates;

fn verified(server: &Server, database: &str, host: &str, authority: &Path) -> String {
    let url = server.url(database).replace("127.0.0.1", host);
    format!("{url}?sslmode=verify-full&sslrootcert={}", authority.display())
}

#[tokio::test]
async fn a_server_is_trusted_by_its_authority_and_name_alone() {
    let Some((server, certificates)) = Server::start_with_tls().await else {
        return;
    };
    let authority = certificates.authority();
    for host in ["127.0.0.1", "localhost"] {
        let store = store_at(&verified(&server, "postgres", host, &authority));
        store.migrate().await.unwrap();
        store.revision().await.unwrap();
    }
    let stranger = Certificates::new();
    let urls = [
        verified(&server, "postgres", "127.0.0.1", &stranger.authority()),
        // The same machine by a name that the certificate does not have.
        verified(&server, "postgres", "127.0.0.2", &authority),
        format!("{}?sslmode=disable", server.url("postgres")),
    ];
    for url in urls {
        let refused = store_at(&url).revision().await;
        assert!(
            matches!(refused, Err(StorageError::Unavailable(_))),
            "{url}: {refused:?}"
        );
    }
}
