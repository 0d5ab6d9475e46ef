//! The services by hand: requests as anybody could write them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use cerebro_fake_aws::ec2::{EventKind, InstanceState, Timings};
use cerebro_fake_aws::{
    ApiError, Ec2, Fault, Front, Proxy, Route53, Rule, Server, Simulated, serve,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const NOW: &str = "20260102T030405Z";
/// The same, since the epoch.
const SECONDS: u64 = 1_767_323_045;

fn authorization(service: &str, region: &str) -> String {
    let scope = format!("20260102/{region}/{service}/aws4_request");
    let signature = "0123456789abcdef".repeat(4);
    format!(
        "AWS4-HMAC-SHA256 Credential=AKID/{scope}, SignedHeaders=host;x-amz-date, Signature={signature}"
    )
}

/// A client, also where everything is built with TLS and without anybody to do it.
fn client() -> reqwest::Client {
    // Somebody else may have been faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

async fn ec2(url: &str, action: &str, params: &[(&str, &str)]) -> (u16, String) {
    let mut form = vec![("Action", action), ("Version", "2016-11-15")];
    form.extend(params);
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = client()
        .post(url)
        .header("authorization", authorization("ec2", "us-west-2"))
        .header("x-amz-date", NOW)
        .body(body);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn route53(url: &str, path: &str, body: Option<&str>) -> (u16, String) {
    let client = client();
    let url = format!("{url}/2013-04-01/{path}");
    let request = match body {
        Some(body) => client.post(url).body(body.to_owned()),
        None => client.get(url),
    };
    let request = request
        .header("authorization", authorization("route53", "us-east-1"))
        .header("x-amz-date", NOW);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn region() -> (Server<Ec2>, Simulated) {
    let clock = Simulated::at(SECONDS);
    let fixed = Simulated::at(SECONDS);
    let front = Front { clock: clock.clock(), signing_clock: fixed.clock(), ..Front::open() };
    let mut ec2 = Ec2::new("us-west-2", 1);
    ec2.account.timings = Timings { lag: Duration::from_secs(5), ..Timings::default() };
    (serve(ec2, front).await.unwrap(), clock)
}

const RUN: [(&str, &str); 6] = [
    ("ImageId", "ami-0123456789abcdef0"),
    ("InstanceType", "m7i.large"),
    ("MinCount", "1"),
    ("MaxCount", "1"),
    ("ClientToken", "token"),
    ("Placement.AvailabilityZone", "us-west-2a"),
];

fn between<'a>(text: &'a str, tag: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    text.split(&open).skip(1).filter_map(|rest| rest.split(&close).next()).collect()
}

#[tokio::test]
async fn a_client_token_makes_one_instance_and_no_other() {
    let (server, _) = region().await;
    let (status, first) = ec2(server.url(), "RunInstances", &RUN).await;
    assert_eq!(status, 200, "{first}");
    let (_, again) = ec2(server.url(), "RunInstances", &RUN).await;
    assert_eq!(between(&first, "instanceId"), between(&again, "instanceId"));
    let mut other = RUN;
    other[1] = ("InstanceType", "c7i.large");
    let (status, error) = ec2(server.url(), "RunInstances", &other).await;
    assert_eq!((status, between(&error, "Code")), (400, vec!["IdempotentParameterMismatch"]));
    assert_eq!(server.with(|ec2, _| ec2.instances().count()), 1);
    assert_eq!(server.touched().len(), 1);
}

#[tokio::test]
async fn tags_are_added_to_what_is_seen_and_replaced() {
    let (server, clock) = region().await;
    let (_, made) = ec2(server.url(), "RunInstances", &RUN).await;
    let id = between(&made, "instanceId")[0].to_owned();
    let tag = async |key: &str, value: &str| {
        let params = [("ResourceId.1", id.as_str()), ("Tag.1.Key", key), ("Tag.1.Value", value)];
        let (status, body) = ec2(server.url(), "CreateTags", &params).await;
        (status, between(&body, "Code").first().map(|it| (*it).to_owned()))
    };
    assert_eq!(tag("a", "1").await, (400, Some("InvalidInstanceID.NotFound".to_owned())));
    clock.advance(Duration::from_secs(5));
    for value in ["1", "2"] {
        assert_eq!(tag("a", value).await, (200, None));
    }
    assert_eq!(tag("aws:a", "1").await, (400, Some("InvalidParameterValue".to_owned())));
    for n in 1..50 {
        assert_eq!(tag(&format!("further-{n}"), "").await.0, 200);
    }
    assert_eq!(tag("one more", "").await, (400, Some("TagLimitExceeded".to_owned())));
    let tags = server.with(|ec2, _| ec2.instance(&id).unwrap().tags.clone());
    assert_eq!((tags.len(), tags["a"].as_str()), (50, "2"));
    let (status, error) = ec2(server.url(), "CreateTags", &[("ResourceId.1", &id)]).await;
    assert_eq!((status, between(&error, "Code")), (400, vec!["MissingParameter"]));
}

#[tokio::test]
async fn an_instance_is_seen_late_and_gets_on_with_time() {
    let (server, clock) = region().await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&told);
    server.with(move |ec2, _| {
        ec2.on_event(Arc::new(move |event| hook.lock().unwrap().push(event.kind)));
    });
    let (_, made) = ec2(server.url(), "RunInstances", &RUN).await;
    let id = between(&made, "instanceId")[0].to_owned();
    let named = [("InstanceId.1", id.as_str())];
    let (status, error) = ec2(server.url(), "DescribeInstances", &named).await;
    assert_eq!((status, between(&error, "Code")), (400, vec!["InvalidInstanceID.NotFound"]));
    let (status, _) = ec2(server.url(), "TerminateInstances", &named).await;
    assert_eq!(status, 400);
    let state = async || {
        let (_, found) = ec2(server.url(), "DescribeInstances", &named).await;
        between(&found, "name").first().map(|it| (*it).to_owned())
    };
    clock.advance(Duration::from_secs(5));
    assert_eq!(state().await.as_deref(), Some("pending"));
    clock.advance(Duration::from_secs(17));
    assert_eq!(state().await.as_deref(), Some("running"));
    assert_eq!(ec2(server.url(), "RebootInstances", &named).await.0, 200);
    let (status, ended) = ec2(server.url(), "TerminateInstances", &named).await;
    assert_eq!((status, between(&ended, "name")), (200, vec!["shutting-down", "running"]));
    clock.advance(Duration::from_secs(5));
    assert_eq!(state().await.as_deref(), Some("shutting-down"));
    clock.advance(Duration::from_secs(30));
    assert_eq!(state().await.as_deref(), Some("terminated"));
    clock.advance(Duration::from_secs(3600));
    assert_eq!(state().await, None);
    let told = told.lock().unwrap().clone();
    assert_eq!(told, [EventKind::Runs, EventKind::Rebooted, EventKind::Ended]);
}

#[tokio::test]
async fn room_quotas_and_scripts_refuse_what_they_say() {
    let (server, _) = region().await;
    let code = async |params: &[(&str, &str)]| {
        let (status, body) = ec2(server.url(), "RunInstances", params).await;
        (status, between(&body, "Code").first().map(|it| (*it).to_owned()).unwrap_or_default())
    };
    let with = |name: &'static str, value: &'static str| {
        let others = RUN.into_iter().filter(move |(it, _)| *it != name && *it != "ClientToken");
        others.chain([(name, value)]).collect::<Vec<_>>()
    };
    server.with(|ec2, _| ec2.account.room.insert(("us-west-2a".into(), "m7i.large".into()), 0));
    assert_eq!(code(&RUN).await, (500, "InsufficientInstanceCapacity".to_owned()));
    server.with(|ec2, _| ec2.account.vcpu_quota = Some(1));
    assert_eq!(
        code(&with("InstanceType", "c7i.large")).await,
        (400, "VcpuLimitExceeded".to_owned())
    );
    server.with(|ec2, _| ec2.account.vcpu_quota = None);
    for (name, value, expected) in [
        ("ImageId", "ami-lost", "InvalidAMIID.NotFound"),
        ("KeyName", "lost", "InvalidKeyPair.NotFound"),
        ("SecurityGroupId.1", "sg-lost", "InvalidGroup.NotFound"),
        ("SubnetId", "subnet-lost", "InvalidSubnetID.NotFound"),
        ("SubnetId", "subnet-0123456789abcdefb", "InvalidParameterValue"),
        ("InstanceType", "m7g.large", "InvalidParameterValue"),
        ("UserData", "not base64", "InvalidParameterValue"),
        ("MaxCount", "0", "InvalidParameterValue"),
        ("DryRun", "true", "DryRunOperation"),
    ] {
        assert_eq!(code(&with(name, value)).await.1, expected, "{name} {value}");
    }
    server.script(
        Rule::fail("RunInstances", ApiError::expired_token()).with("InstanceType", "c7i.large"),
    );
    assert_eq!(code(&with("InstanceType", "c7i.large")).await.1, "ExpiredToken");
    assert_eq!(code(&with("InstanceType", "c7i.large")).await.0, 200);
}

#[tokio::test]
async fn pages_filters_and_throttles() {
    let (server, clock) = region().await;
    server.with(|ec2, now| {
        for n in 0..12 {
            let tag = if n % 2 == 0 { "even" } else { "odd" };
            ec2.put_foreign(now, &[("parity", tag)]);
        }
    });
    let mut params =
        vec![("Filter.1.Name", "tag:parity"), ("Filter.1.Value.1", "even"), ("MaxResults", "5")];
    let (_, first) = ec2(server.url(), "DescribeInstances", &params).await;
    assert_eq!(between(&first, "instanceId").len(), 5);
    let token = between(&first, "nextToken")[0].to_owned();
    params.push(("NextToken", &token));
    let (_, second) = ec2(server.url(), "DescribeInstances", &params).await;
    assert_eq!((between(&second, "instanceId").len(), between(&second, "nextToken").len()), (1, 0));
    for wrong in [("MaxResults", "4"), ("NextToken", "x"), ("Filter.1.Name", "colour")] {
        let mut params = vec![("Filter.1.Value.1", "even")];
        params.push(wrong);
        let (status, body) = ec2(server.url(), "DescribeInstances", &params).await;
        assert_eq!(
            (status, between(&body, "Code")),
            (400, vec!["InvalidParameterValue"]),
            "{wrong:?}"
        );
    }
    server.front(|front| {
        front.throttles.insert("describe", cerebro_fake_aws::Bucket::new(2, 1.0));
    });
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(ec2(server.url(), "DescribeInstances", &[]).await.0);
    }
    clock.advance(Duration::from_secs(1));
    answers.push(ec2(server.url(), "DescribeInstances", &[]).await.0);
    assert_eq!(answers, [200, 200, 503, 200]);
}

#[tokio::test]
async fn who_calls_is_looked_at() {
    let (server, _) = region().await;
    server.front(|front| front.keys = vec!["OTHER".to_owned()]);
    let (status, body) = ec2(server.url(), "DescribeInstances", &[]).await;
    assert_eq!((status, between(&body, "Code")), (401, vec!["AuthFailure"]));
    server.front(|front| {
        front.keys.clear();
        front.signing_clock = Simulated::at(SECONDS + 301).clock();
    });
    let (status, body) = ec2(server.url(), "DescribeInstances", &[]).await;
    assert_eq!((status, between(&body, "Code")), (400, vec!["RequestExpired"]));
    let errors: Vec<_> = server.calls().into_iter().filter_map(|call| call.error).collect();
    assert_eq!(errors, ["AuthFailure", "RequestExpired"]);
}

fn batch(changes: &[(&str, &str, &str)]) -> String {
    let changes: String = changes
        .iter()
        .map(|(action, name, value)| {
            format!(
                "<Change><Action>{action}</Action><ResourceRecordSet><Name>{name}</Name><Type>A</Type><TTL>5</TTL>\
                 <ResourceRecords><ResourceRecord><Value>{value}</Value></ResourceRecord></ResourceRecords>\
                 </ResourceRecordSet></Change>"
            )
        })
        .collect();
    format!(
        "<ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><ChangeBatch>\
         <Changes>{changes}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
    )
}

#[tokio::test]
async fn a_batch_happens_as_a_whole_or_not_at_all_and_is_served_later() {
    let (clock, fixed) = (Simulated::at(SECONDS), Simulated::at(SECONDS));
    let front = Front { clock: clock.clock(), signing_clock: fixed.clock(), ..Front::open() };
    let mut service = Route53::new(1);
    let zone = service.put_zone("example.com", false);
    let server = serve(service, front).await.unwrap();
    let path = format!("hostedzone/{zone}/rrset");
    let create = batch(&[("CREATE", "a.example.com", "10.0.0.1")]);
    let (status, body) = route53(server.url(), &path, Some(&create)).await;
    assert_eq!((status, between(&body, "Status")), (200, vec!["PENDING"]));
    let change = between(&body, "Id")[0].trim_start_matches('/').to_owned();
    let both =
        batch(&[("CREATE", "b.example.com", "10.0.0.2"), ("CREATE", "a.example.com", "10.0.0.3")]);
    let (status, body) = route53(server.url(), &path, Some(&both)).await;
    assert_eq!((status, between(&body, "Code")), (400, vec!["InvalidChangeBatch"]));
    assert!(body.contains("a.example.com.") && body.contains("already exists"), "{body}");
    let (_, listed) = route53(server.url(), &path, None).await;
    assert_eq!(between(&listed, "Name"), ["example.com.", "example.com.", "a.example.com."]);
    let (_, page) = route53(server.url(), &format!("{path}?maxitems=2"), None).await;
    assert_eq!(between(&page, "NextRecordName"), ["a.example.com."]);
    let served = || {
        server.with(|route53, now| route53.zone(&zone).unwrap().resolve("a.example.com", "A", now))
    };
    assert!(served().is_empty());
    clock.advance(Duration::from_secs(30));
    assert_eq!(served(), ["10.0.0.1"]);
    let (_, body) = route53(server.url(), &change, None).await;
    assert_eq!(between(&body, "Status"), ["INSYNC"]);
    let (status, body) = route53(server.url(), "hostedzone/ZLOST/rrset", None).await;
    assert_eq!((status, between(&body, "Code")), (404, vec!["NoSuchHostedZone"]));
    assert_eq!(server.touched().into_iter().collect::<Vec<_>>(), ["a.example.com."]);
}

#[tokio::test]
async fn a_proxy_breaks_the_calls_it_was_told_to() {
    let (server, _) = region().await;
    let proxy = Proxy::start(server.url(), |seen| match seen.number {
        0 => Fault::Answer(503, "no".to_owned()),
        1 => Fault::Reset,
        2 => Fault::DropReply,
        _ => Fault::None,
    });
    let proxy = proxy.await.unwrap();
    assert_eq!(ec2(proxy.url(), "RunInstances", &RUN).await, (503, "no".to_owned()));
    proxy.struck().await;
    let raw = async || {
        let body = "Action=RunInstances&Version=2016-11-15&ImageId=ami-0123456789abcdef0&InstanceType=m7i.large&\
                    MinCount=1&MaxCount=1&ClientToken=token";
        let request = client()
            .post(proxy.url())
            .header("authorization", authorization("ec2", "us-west-2"))
            .header("x-amz-date", NOW)
            .body(body);
        request.send().await.map(|answer| answer.status().as_u16())
    };
    assert!(raw().await.is_err());
    assert_eq!(server.count("RunInstances"), 0, "it did not reach the service");
    assert!(raw().await.is_err());
    assert_eq!(server.count("RunInstances"), 1, "it was done, and the answer was lost");
    assert_eq!(raw().await.unwrap(), 200);
    let state = server.with(|ec2, now| ec2.instances().map(|it| it.state(now)).collect::<Vec<_>>());
    assert_eq!(state, [InstanceState::Pending], "by one token there is one");
    assert_eq!(proxy.seen().len(), 4);
}
