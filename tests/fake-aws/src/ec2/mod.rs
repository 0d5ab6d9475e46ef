//! EC2, as far as machines are made, looked at and ended.

mod account;
mod base64;
mod catalog;
mod change;
mod describe;
mod filter;
mod instance;
mod run;

pub use account::{Account, Image, InstanceType, Subnet, Timings};
pub use instance::{Event, EventKind, Instance, InstanceState};

use crate::api::{ApiError, Done, Params, Service};
use crate::xml::Xml;
use filter::Filters;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
/// The owner of everything.
const OWNER: &str = "123456789012";

/// What is told of instances. It is called while the service is locked, so it must not call back.
pub type Hook = Arc<dyn Fn(Event) + Send + Sync>;

/// One region of one account.
pub struct Ec2 {
    /// What there is, and what is allowed. Tests change it as they like.
    pub account: Account,
    region: String,
    instances: BTreeMap<String, Instance>,
    /// What was asked for by a client token, and what came of it.
    tokens: BTreeMap<String, (Params, Vec<String>)>,
    chance: fastrand::Rng,
    hook: Option<Hook>,
}

impl Ec2 {
    /// A region with three zones and a few types, and without instances. All chance comes from the seed.
    pub fn new(region: &str, seed: u64) -> Self {
        Self {
            account: Account::usual(region),
            region: region.to_owned(),
            instances: BTreeMap::new(),
            tokens: BTreeMap::new(),
            chance: fastrand::Rng::with_seed(seed),
            hook: None,
        }
    }

    /// Has instances' lives told.
    pub fn on_event(&mut self, hook: Hook) {
        self.hook = Some(hook);
    }

    /// All instances, also those that listings do not show yet or any more.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.instances.values()
    }

    /// One by its id.
    pub fn instance(&self, id: &str) -> Option<&Instance> {
        self.instances.get(id)
    }

    /// Puts an instance there that others made, with these tags: it runs.
    pub fn put_foreign(&mut self, now: Duration, tags: &[(&str, &str)]) -> String {
        let id = self.new_id("i");
        let mut instance = Instance::new(&id, now, Duration::ZERO);
        instance.tags =
            tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        instance.zone = format!("{}a", self.region);
        instance.instance_type = "m7i.large".to_owned();
        instance.enter(now, InstanceState::Running);
        self.instances.insert(id.clone(), instance);
        id
    }

    /// Ends an instance behind everybody's back, as somebody at the console or a failing host would.
    pub fn terminate_behind_our_back(&mut self, id: &str, now: Duration, reason: &str) {
        let after = self.account.timings.shutting_down;
        if let Some(instance) = self.instances.get_mut(id) {
            instance.end(now, after, reason);
        }
    }

    /// Stops an instance, as somebody at the console would.
    pub fn stop_behind_our_back(&mut self, id: &str, now: Duration) {
        if let Some(instance) = self.instances.get_mut(id) {
            instance.enter(now, InstanceState::Stopped);
        }
    }

    /// Removes an instance's tags, as somebody at the console would.
    pub fn untag(&mut self, id: &str) {
        if let Some(instance) = self.instances.get_mut(id) {
            instance.tags.clear();
        }
    }

    fn new_id(&mut self, prefix: &str) -> String {
        format!("{prefix}-0{:016x}", self.chance.u64(..))
    }

    fn tell(&self, kind: EventKind, instance: &Instance) {
        if let Some(hook) = &self.hook {
            hook(Event { kind, instance: instance.clone() });
        }
    }
}

impl Service for Ec2 {
    fn signed_as(&self) -> &'static str {
        "ec2"
    }

    fn region(&self) -> String {
        self.region.clone()
    }

    fn read(&self, request: &http::Request<String>) -> Result<(String, Params), ApiError> {
        let form = form_urlencoded::parse(request.body().as_bytes()).into_owned();
        let mut params: BTreeMap<String, String> = form.collect();
        let missing = |name: &str| {
            ApiError::new(400, "MissingParameter", format!("The request must contain {name}"))
        };
        let action = params.remove("Action").ok_or_else(|| missing("Action"))?;
        match params.remove("Version").as_deref() {
            Some("2016-11-15") => Ok((action, Params(params))),
            Some(other) => {
                let message = format!("The version {other} is not valid");
                Err(ApiError::new(400, "NoSuchVersion", message))
            }
            None => Err(missing("Version")),
        }
    }

    fn act(&mut self, action: &str, params: &Params, now: Duration) -> Result<Done, ApiError> {
        if params.flag("DryRun") {
            // What is named has to be there for permissions to be known.
            if let "TerminateInstances" | "RebootInstances" | "StartInstances" = action {
                self.named_instances(params, now)?;
            }
            if action == "CreateTags" {
                self.seen_instances(params.list("ResourceId"), now)?;
            }
            if action == "RunInstances" {
                self.asked(params)?;
            }
            let message = "Request would have succeeded, but DryRun flag is set.";
            return Err(ApiError::new(412, "DryRunOperation", message));
        }
        match action {
            "RunInstances" => self.run_instances(params, now),
            "DescribeInstances" => self.describe_instances(params, now),
            "TerminateInstances" => self.terminate_instances(params, now),
            "RebootInstances" => self.reboot_instances(params, now),
            "StartInstances" => self.start_instances(params, now),
            "CreateTags" => self.create_tags(params, now),
            "DescribeInstanceTypes" => self.describe_instance_types(params),
            "DescribeInstanceTypeOfferings" => self.describe_offerings(params),
            "DescribeImages" => self.describe_images(params),
            "DescribeKeyPairs" => self.describe_key_pairs(params),
            "DescribeSecurityGroups" => self.describe_groups(params),
            "DescribeSubnets" => self.describe_subnets(params),
            _ => {
                let message = format!("The action {action} is not valid for this web service.");
                Err(ApiError::new(400, "InvalidAction", message))
            }
        }
    }

    fn error_body(&self, error: &ApiError, request_id: &str) -> String {
        let inner = Xml::new().text("Code", &error.code).text("Message", &error.message);
        let errors = Xml::new().within("Error", inner);
        let all = Xml::new().within("Errors", errors).text("RequestID", request_id);
        // Errors have no namespace.
        all.document("Response", "").replace(" xmlns=\"\"", "")
    }

    fn throttle_class(&self, action: &str) -> &'static str {
        match action {
            "RunInstances" => "run",
            _ if action.starts_with("Describe") => "describe",
            _ => "change",
        }
    }

    fn throttled(&self) -> ApiError {
        ApiError::ec2_throttled()
    }

    fn forbidden(&self, action: &str) -> ApiError {
        let message = format!("You are not authorized to perform this operation: ec2:{action}");
        ApiError::new(403, "UnauthorizedOperation", message)
    }

    fn wrong_key(&self) -> ApiError {
        ApiError::wrong_key()
    }

    fn out_of_time(&self, signed: &str) -> ApiError {
        ApiError::new(
            400,
            "RequestExpired",
            format!("Request has expired. Timestamp date is {signed}."),
        )
    }

    fn tick(&mut self, now: Duration) {
        let mut due = Vec::new();
        for instance in self.instances.values_mut() {
            due.extend(instance.tick(now).map(|kind| (kind, instance.id.clone())));
        }
        for (kind, id) in due {
            if let Some(instance) = self.instances.get(&id) {
                self.tell(kind, instance);
            }
        }
        let vanish = self.account.timings.vanish;
        self.instances.retain(|_, instance| !instance.has_vanished(now, vanish));
    }
}

/// An answer's document.
fn response(action: &str, inner: Xml) -> String {
    let id = Xml::new().text("requestId", "00000000-0000-4000-8000-000000000000");
    id.and(inner).document(&format!("{action}Response"), NAMESPACE)
}

/// The part of a list that a page holds, and the token for the next one: opaque to whoever gets it.
fn page<T>(
    all: Vec<T>,
    params: &Params,
    bounds: (u32, u32),
    shorter: Option<u32>,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    let invalid = |message: String| ApiError::new(400, "InvalidParameterValue", message);
    let asked = params.number("MaxResults")?;
    if let Some(asked) = asked.filter(|it| !(bounds.0..=bounds.1).contains(it)) {
        let (least, most) = bounds;
        let message =
            format!("Value ( {asked} ) for parameter maxResults is invalid: {least} to {most}");
        return Err(invalid(message));
    }
    let start: usize = match params.get("NextToken") {
        None => 0,
        Some(token) => {
            let number = token.strip_prefix("eyJwYWdl").and_then(|it| it.parse().ok());
            number.ok_or_else(|| invalid("Unable to parse pagination token".to_owned()))?
        }
    };
    let length = match (asked, shorter) {
        (Some(asked), Some(shorter)) => asked.min(shorter),
        (Some(asked), None) => asked,
        // Whoever does not ask for pages gets all.
        (None, _) => u32::MAX,
    };
    let total = all.len();
    let page: Vec<T> = all.into_iter().skip(start).take(length as usize).collect();
    let end = start.saturating_add(length as usize);
    let token = (end < total).then(|| format!("eyJwYWdl{end}"));
    Ok((page, token))
}

fn filters(params: &Params) -> Result<Filters, ApiError> {
    Filters::read(params)
}
