//! Redis: writes its configuration and makes its data directory. The job's command starts the
//! server that the machine has: `redis-server $CEREBRO_ROOT/<dir>/redis.conf`.

mod config;

use cerebro_recipe::{Directory, File, Host, Recipe, values};
use config::Options;

struct Redis;

cerebro_recipe::recipe!(Redis);
cerebro_recipe::wants!("../wants.json");

impl Recipe for Redis {
    type Options = Options;

    fn deploy(host: &impl Host, options: Options) -> Result<(), String> {
        let instance = host.instance();
        let (dir, user) = (host.render(&options.dir)?, options.user.as_deref());
        for path in [dir.clone(), format!("{dir}/data")] {
            Directory::new(path).mode(0o750).owner_if(user).make(host)?;
        }
        let port = values::port(&instance, options.port.as_ref())?;
        let data = format!("{}{dir}/data", instance.root);
        let text = config::render(&options, &instance.address, port, &data)?;
        File::new(format!("{dir}/redis.conf")).mode(0o640).owner_if(user).write(host, text)?;
        Ok(())
    }

    fn undeploy(host: &impl Host, options: Options) -> Result<(), String> {
        let dir = host.render(&options.dir)?;
        if options.remove_data {
            host.remove(&dir)?;
        } else {
            host.remove(&format!("{dir}/redis.conf"))?;
            host.say(&format!("`{dir}/data` is kept; `remove_data` would remove it"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cerebro_recipe::FakeHost;

    fn host(options: &str) -> FakeHost {
        FakeHost::new().with_port("redis", 6379).with_user("redis", 110).with_options(options)
    }

    #[test]
    fn a_server_gets_what_it_needs_and_keeps_its_data() {
        let options = r#"{"dir": "/srv/{{ job }}", "user": "redis", "config": {"save": "60 1"}}"#;
        let host = host(options);
        host.deploy::<Redis>().unwrap();
        let dir = "/srv/app.example.com";
        assert_eq!(host.owner(&format!("{dir}/data")), "redis");
        assert_eq!(host.mode(&format!("{dir}/redis.conf")), 0o640);
        let text = host.text(&format!("{dir}/redis.conf"));
        for line in ["port 6379", "bind 10.0.0.5", "save 60 1"] {
            assert!(text.lines().any(|l| l == line), "{line} in {text}");
        }
        host.take_calls();
        host.deploy::<Redis>().unwrap();
        assert!(host.calls().is_empty(), "{:?}", host.calls());
        host.undeploy::<Redis>().unwrap();
        assert!(host.has(&format!("{dir}/data")) && !host.has(&format!("{dir}/redis.conf")));
        host.undeploy::<Redis>().unwrap();
        assert_eq!(host.calls(), [format!("remove {dir}/redis.conf")]);
    }

    #[test]
    fn data_goes_only_if_it_is_said() {
        let host = host(r#"{"dir": "/srv/r", "remove_data": true}"#);
        host.deploy::<Redis>().unwrap();
        host.undeploy::<Redis>().unwrap();
        assert!(!host.has("/srv/r"));
    }

    #[test]
    fn a_mistake_is_named_before_anything_is_written() {
        for (options, why) in [
            (r#"{"dir": "/srv/{{ jbo }}"}"#, "`jbo` has no value"),
            (r#"{"dir": "/srv/r", "prot": 1}"#, "unknown field `prot`"),
        ] {
            let host = host(options);
            let error = host.deploy::<Redis>().unwrap_err();
            assert!(error.contains(why) && host.calls().is_empty(), "{error}");
        }
    }
}
