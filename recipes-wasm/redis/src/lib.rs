//! Redis: writes its configuration and makes its data directory. The job's command starts the
//! server that the machine has: `redis-server $CEREBRO_ROOT/<dir>/redis.conf`.

mod config;

use cerebro_recipe::error::Doing;
use cerebro_recipe::host::files::{self, Attributes, Owner};
use cerebro_recipe::host::{context, log};
use cerebro_recipe::{options, template, values};
use config::Options;

struct Redis;

cerebro_recipe::recipe!(Redis);

impl Guest for Redis {
    fn deploy() -> Result<(), String> {
        let (instance, options) = (context::get(), options::get::<Options>()?);
        let dir = template::render(&options.dir, &values::of(&instance))?;
        let owner = options.user.clone().map(|user| Owner { user, group: None });
        let attributes = |mode| Attributes { mode: Some(mode), owner: owner.clone() };

        for path in [dir.clone(), format!("{dir}/data")] {
            files::directory(&path, &attributes(0o750)).doing(|| format!("make `{path}`"))?;
        }
        let port = values::port(&instance, options.port.as_ref())?;
        let data = format!("{}{dir}/data", instance.root);
        let text = config::render(&options, &instance.address, port, &data)?;
        let path = format!("{dir}/redis.conf");
        let change = files::write(&path, text.as_bytes(), &attributes(0o640))
            .doing(|| format!("write `{path}`"))?;
        log::write(log::Level::Info, &format!("`{path}`: {change}"));
        Ok(())
    }

    fn undeploy() -> Result<(), String> {
        let (instance, options) = (context::get(), options::get::<Options>()?);
        let dir = template::render(&options.dir, &values::of(&instance))?;
        let path = if options.remove_data { dir.clone() } else { format!("{dir}/redis.conf") };
        files::remove(&path).doing(|| format!("remove `{path}`"))?;
        if !options.remove_data {
            let kept = format!("`{dir}/data` is kept; `remove_data` would remove it");
            log::write(log::Level::Info, &kept);
        }
        Ok(())
    }
}
