//! The three questions in idiomatic Rust: aws-sdk-ec2, one kept client per region over one shared HTTP client (the
//! root store is parsed once), all regions at once, paginators, DescribeRegions in INIT. Without ::/0.
use aws_config::{retry::RetryConfig, BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::error::DisplayErrorContext;
use aws_sdk_ec2::types::{Filter, Instance, Tag};
use aws_sdk_ec2::Client;
use aws_smithy_http_client::tls::{rustls_provider::CryptoMode, Provider};
use futures::future::try_join_all;
use lambda_runtime::{run, service_fn, Error, LambdaEvent};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

const PAGE: i32 = 1000; // items, the most that EC2 allows
const FILTER_VALUES: usize = 200; // EC2 takes at most 200 values a filter

#[derive(Deserialize)]
struct Parameter {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(default)]
    action_group: String,
    #[serde(default)]
    api_path: String,
    #[serde(default)]
    http_method: String,
    #[serde(default)]
    parameters: Vec<Parameter>,
}

#[derive(Serialize)]
struct Content {
    body: Box<RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    action_group: String,
    api_path: String,
    http_method: String,
    http_status_code: u16,
    response_body: HashMap<&'static str, Content>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    message_version: &'static str,
    response: Answer,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Count {
    region: String,
    total_instances: usize,
    running_instances: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Unowned {
    region: String,
    instance_id: String,
    instance_name: String,
    state: String,
}

#[derive(Serialize, Clone)]
#[serde(rename_all = "camelCase")]
struct Permission {
    ip_protocol: String,
    from_port: i32,
    to_port: i32,
    allow_from: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Open {
    region: String,
    instance_id: String,
    instance_name: String,
    state: String,
    permissions: Vec<Permission>,
}

struct App {
    conf: SdkConfig,
    clients: Mutex<HashMap<String, Client>>,
    regions: Vec<String>,
}

fn tag(key: &str, tags: Option<&[Tag]>) -> String {
    tags.unwrap_or_default()
        .iter()
        .find(|t| t.key().is_some_and(|k| k.eq_ignore_ascii_case(key)))
        .and_then(|t| t.value())
        .unwrap_or_default()
        .to_owned()
}

fn state(i: &Instance) -> &str {
    i.state().and_then(|s| s.name()).map(|n| n.as_str()).unwrap_or_default()
}

fn fail(region: &str, e: impl std::error::Error) -> Error {
    format!("{region}: {}", DisplayErrorContext(e)).into()
}

impl App {
    fn client(&self, region: &str) -> Client {
        let mut c = self.clients.lock().unwrap();
        c.entry(region.to_owned())
            .or_insert_with(|| {
                let conf = aws_sdk_ec2::config::Builder::from(&self.conf).region(Region::new(region.to_owned())).build();
                Client::from_conf(conf)
            })
            .clone()
    }

    /// Calls `each` for every instance of the region that passes the filters.
    async fn instances(&self, region: &str, filter: Option<Filter>, mut each: impl FnMut(&Instance)) -> Result<(), Error> {
        let mut pages = self.client(region).describe_instances().set_filters(filter.map(|f| vec![f])).max_results(PAGE).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| fail(region, e))?;
            page.reservations().iter().flat_map(|r| r.instances()).for_each(&mut each);
        }
        Ok(())
    }

    async fn count(&self, region: &str) -> Result<Count, Error> {
        let mut c = Count { region: region.to_owned(), total_instances: 0, running_instances: 0 };
        self.instances(region, None, |i| {
            c.total_instances += 1;
            c.running_instances += usize::from(state(i) == "running");
        })
        .await?;
        Ok(c)
    }

    async fn unowned(&self, region: &str) -> Result<Vec<Unowned>, Error> {
        let mut out = Vec::new();
        self.instances(region, None, |i| {
            if tag("Owner", i.tags.as_deref()).is_empty() {
                out.push(Unowned {
                    region: region.to_owned(),
                    instance_id: i.instance_id().unwrap_or_default().to_owned(),
                    instance_name: tag("Name", i.tags.as_deref()),
                    state: state(i).to_owned(),
                });
            }
        })
        .await?;
        Ok(out)
    }

    async fn open(&self, region: &str) -> Result<Vec<Open>, Error> {
        let mut groups: HashMap<String, Vec<Permission>> = HashMap::new();
        let filter = Filter::builder().name("ip-permission.cidr").values("0.0.0.0/0").build();
        let mut pages = self.client(region).describe_security_groups().filters(filter).max_results(PAGE).into_paginator().send();
        while let Some(page) = pages.next().await {
            for g in page.map_err(|e| fail(region, e))?.security_groups() {
                let mut perms = Vec::new();
                for p in g.ip_permissions() {
                    for _ in p.ip_ranges().iter().filter(|r| r.cidr_ip() == Some("0.0.0.0/0")) {
                        perms.push(Permission {
                            ip_protocol: p.ip_protocol().unwrap_or_default().to_owned(),
                            from_port: p.from_port().unwrap_or_default(),
                            to_port: p.to_port().unwrap_or_default(),
                            allow_from: g.group_name().unwrap_or_default().to_owned(),
                        });
                    }
                }
                groups.insert(g.group_id().unwrap_or_default().to_owned(), perms);
            }
        }
        let mut ids: Vec<String> = groups.keys().cloned().collect();
        ids.sort();
        let mut out: Vec<Open> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for some in ids.chunks(FILTER_VALUES) {
            let filter = Filter::builder().name("instance.group-id").set_values(Some(some.to_vec())).build();
            self.instances(region, Some(filter), |i| {
                let id = i.instance_id().unwrap_or_default();
                if !seen.insert(id.to_owned()) {
                    return;
                }
                out.push(Open {
                    region: region.to_owned(),
                    instance_id: id.to_owned(),
                    instance_name: tag("Name", i.tags.as_deref()),
                    state: state(i).to_owned(),
                    permissions: i
                        .security_groups()
                        .iter()
                        .filter_map(|g| groups.get(g.group_id().unwrap_or_default()))
                        .flatten()
                        .cloned()
                        .collect(),
                });
            })
            .await?;
        }
        Ok(out)
    }

    async fn answer(&self, e: Event) -> Result<Response, Error> {
        let regions: Vec<String> = match e.parameters.iter().find(|p| p.name == "regions" && p.value != "all") {
            Some(p) => p.value.split(',').map(str::to_owned).collect(),
            None => self.regions.clone(),
        };
        let body = match e.api_path.as_str() {
            "/count/{regions}" => {
                let all = try_join_all(regions.iter().map(|r| self.count(r))).await?;
                serde_json::value::to_raw_value(&all)?
            }
            "/check-without-owner/{regions}" => {
                let all = try_join_all(regions.iter().map(|r| self.unowned(r))).await?;
                serde_json::value::to_raw_value(&all.into_iter().flatten().collect::<Vec<_>>())?
            }
            "/check-open-permission/{regions}" => {
                let all = try_join_all(regions.iter().map(|r| self.open(r))).await?;
                serde_json::value::to_raw_value(&all.into_iter().flatten().collect::<Vec<_>>())?
            }
            other => return Err(format!("api path {other:?} not supported").into()),
        };
        Ok(Response {
            message_version: "1.0",
            response: Answer {
                action_group: e.action_group,
                api_path: e.api_path,
                http_method: e.http_method,
                http_status_code: 200,
                response_body: HashMap::from([("application/json", Content { body })]),
            },
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https();
    let conf = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .retry_config(RetryConfig::standard().with_max_attempts(10))
        .load()
        .await;
    let mut app = App { conf: conf.clone(), clients: Mutex::default(), regions: Vec::new() };
    let home = conf.region().map(|r| r.to_string()).unwrap_or_else(|| "us-east-1".into());
    let out = app.client(&home).describe_regions().send().await.map_err(|e| fail(&home, e))?;
    app.regions = out.regions().iter().filter_map(|r| r.region_name().map(str::to_owned)).collect();
    let app = Arc::new(app);
    run(service_fn(move |e: LambdaEvent<Event>| {
        let app = app.clone();
        async move { app.answer(e.payload).await }
    }))
    .await
}
