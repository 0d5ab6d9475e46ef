# Each fact, here from the environment as FACTER_app and so on, is a variable at the top.
File { owner => $facts['owner'], group => $facts['group'] }
file { [$facts['app'], "${facts['app']}/releases", "${facts['app']}/cache", $release, "${release}/vendor"]:
  ensure => directory, mode => '0755',
}
file { "${release}/files":
  ensure => directory, recurse => true, source => "file://${files}", source_permissions => use,
}
file { $facts['archive']:
  ensure => file, mode => '0644', source => $facts['archive_url'],
  checksum => 'sha256', checksum_value => $facts['archive_sha256'],
}
-> exec { 'unpack':
  command => "tar -xzf ${facts['archive']} -C ${release}/vendor --no-same-owner && touch ${release}/vendor/.unpacked && chown -R ${facts['owner']}:${facts['group']} ${release}/vendor",
  creates => "${release}/vendor/.unpacked", provider => shell, require => File["${release}/vendor"],
}
file { "${release}/app.conf":
  mode => '0640',
  content => inline_epp("name    = <%= \$facts['service'] %>\nport    = <%= \$facts['port'] %>\nworkers = <%= \$facts['workers'] %>\ndb      = <%= \$facts['database'] %>\nversion = <%= \$facts['version'] %>\n"),
}
-> exec { 'migrate':
  command => "sh ${release}/files/migrate.sh ${release}", creates => "${release}/.migrated",
  provider => shell, require => [File["${release}/files"], Exec['unpack']],
}
-> file { "${release}/DEPLOYED": mode => '0644', content => "${facts['version']}\n" }
-> file { "${facts['app']}/current": ensure => link, target => "releases/${facts['version']}" }
