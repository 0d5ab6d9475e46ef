//! The same story with somebody else's reading of what goes over EC2's wire, and with names by the controller's own server: what
//! stands in for Route 53 there takes no batch that removes a record and puts it back, which is how changes are fenced.

use crate::controlled::{Alive, Cloud, Controlled, KEY, free_port};
use crate::heals::from_nothing_and_back;
use crate::insides::{Booted, Fate};
use async_trait::async_trait;
use cerebro_fake_aws::Moto;
use cerebro_model::MachineId;
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use roxmltree::{Document, Node};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::UdpSocket;

/// One that runs, by its id: whose it is, and its address here.
type Running = BTreeMap<String, (MachineId, Ipv4Addr)>;

struct Elsewhere {
    moto: Moto,
    http: reqwest::Client,
    dns: SocketAddr,
    running: Mutex<Running>,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_from_nothing_runs_and_heals_where_moto_has_the_machines() {
    let environment = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/moto");
    let moto = tokio::task::spawn_blocking(move || Moto::start(&environment));
    let moto = moto.await.unwrap().unwrap();
    cerebro_api::choose_cryptography();
    let dns = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), free_port());
    let elsewhere =
        Arc::new(Elsewhere { moto, http: reqwest::Client::new(), dns, running: Mutex::default() });
    let image = elsewhere.image().await;
    let mut controlled = Controlled::new().await;
    let zones = ["aws-us-west-2a", "aws-us-west-2b"].map(|zone| {
        format!(
            "[zones.{zone}]\nmin = 2\nmax = 4\n[ec2.zones.{zone}]\nimage = \"{image}\"\nallow = [\"c7i.large\"]\n"
        )
    });
    let (url, zones) = (elsewhere.moto.url(), zones.concat());
    controlled.settle(&format!("{zones}[ec2]\nendpoint = \"{url}\"\n[dns]\nlisten = \"{dns}\"\n"));
    let followed = tokio::spawn(follow(elsewhere.clone(), controlled.insides.fates()));
    controlled.start();
    from_nothing_and_back(&controlled, elsewhere).await;
    followed.abort();
}

/// Tells what happens to instances: moto tells nobody.
async fn follow(elsewhere: Arc<Elsewhere>, fates: Sender<Fate>) {
    let mut count = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let listed = elsewhere.ask(&[("Action", "DescribeInstances")]).await;
        let listed = Document::parse(&listed).unwrap();
        for item in all(&listed, "instancesSet") {
            let id = text(&item, "instanceId");
            let state = item.children().find(|it| is(it, "instanceState")).unwrap();
            let is_known = elsewhere.running.lock().unwrap().contains_key(&id);
            match (text(&state, "name").as_str(), is_known) {
                ("running", false) => {
                    count += 1;
                    let address = Ipv4Addr::new(127, 79, 0, count);
                    let user_data = elsewhere.user_data(&id).await;
                    elsewhere.running.lock().unwrap().insert(id.clone(), (owner(&item), address));
                    let address = address.to_string();
                    let _ = fates.send(Fate::Starts(Booted { id, address, user_data }));
                }
                ("running" | "pending", _) | (_, false) => {}
                (_, true) => {
                    elsewhere.running.lock().unwrap().remove(&id);
                    let _ = fates.send(Fate::Ends(id));
                }
            }
        }
    }
}

fn owner(instance: &Node<'_, '_>) -> MachineId {
    let tags = instance.descendants().filter(|it| is(it, "item"));
    let tag = tags.into_iter().find(|it| text(it, "key") == "cerebro:machine").unwrap();
    text(&tag, "value").parse().unwrap()
}

/// Whether it is called so, in whatever namespace.
fn is(node: &Node<'_, '_>, tag: &str) -> bool {
    node.tag_name().name() == tag
}

fn text(node: &Node<'_, '_>, tag: &str) -> String {
    let found = node.children().find(|it| is(it, tag));
    found.and_then(|it| it.text()).unwrap_or_default().to_owned()
}

/// The items of all lists of a name.
fn all<'a>(document: &'a Document<'_>, list: &'static str) -> impl Iterator<Item = Node<'a, 'a>> {
    let lists = document.descendants().filter(move |it| is(it, list));
    lists.flat_map(|it| it.children().filter(|it| is(it, "item")))
}

fn written(form: &[(&str, &str)]) -> String {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(form).append_pair("Version", "2016-11-15").finish()
}

impl Elsewhere {
    async fn ask(&self, form: &[(&str, &str)]) -> String {
        let body = written(form);
        // Nobody looks at the signature, but the region is taken from there.
        let credential = format!("Credential={KEY}/20260101/us-west-2/ec2/aws4_request");
        let answer = self
            .http
            .post(self.moto.url())
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0"),
            )
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await
            .unwrap();
        answer.text().await.unwrap()
    }

    /// An image for x86_64 that moto has from the start.
    async fn image(&self) -> String {
        let listed = self.ask(&[("Action", "DescribeImages"), ("Owner.1", "amazon")]).await;
        let listed = Document::parse(&listed).unwrap();
        let is_usual = |it: &Node<'_, '_>| {
            text(it, "architecture") == "x86_64" && !text(it, "rootDeviceName").is_empty()
        };
        text(&all(&listed, "imagesSet").find(is_usual).unwrap(), "imageId")
    }

    async fn user_data(&self, id: &str) -> Vec<u8> {
        let asked = [
            ("Action", "DescribeInstanceAttribute"),
            ("InstanceId", id),
            ("Attribute", "userData"),
        ];
        let answer = self.ask(&asked).await;
        let answer = Document::parse(&answer).unwrap();
        let value = answer.descendants().find(|it| is(it, "userData")).unwrap();
        data_encoding::BASE64.decode(text(&value, "value").as_bytes()).unwrap()
    }
}

#[async_trait]
impl Cloud for Elsewhere {
    async fn alive(&self) -> BTreeMap<MachineId, Vec<Alive>> {
        let mut alive: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (id, (machine, address)) in self.running.lock().unwrap().clone() {
            alive.entry(machine).or_default().push(Alive { id, address: address.into() });
        }
        alive
    }

    async fn terminate(&self, id: &str) {
        self.ask(&[("Action", "TerminateInstances"), ("InstanceId.1", id)]).await;
    }

    async fn resolve(&self, name: &str) -> BTreeSet<IpAddr> {
        let mut message = Message::new(fastrand::u16(..), MessageType::Query, OpCode::Query);
        message
            .add_query(Query::query(Name::from_ascii(format!("{name}.")).unwrap(), RecordType::A));
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(self.dns).await.unwrap();
        socket.send(&message.to_vec().unwrap()).await.unwrap();
        let mut answer = [0; 1232];
        let length = socket.recv(&mut answer);
        let length = tokio::time::timeout(Duration::from_secs(5), length).await.unwrap().unwrap();
        let answer = Message::from_vec(&answer[..length]).unwrap();
        let addresses = answer.answers.iter().filter_map(|record| match &record.data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            _ => None,
        });
        addresses.collect()
    }
}
