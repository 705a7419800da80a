// Minimise (x - 0.3)^2 in JavaScript: node tune.mjs [URL] [NAME]
const [url = "http://127.0.0.1:8765", name = "from-node"] = process.argv.slice(2);
const headers = { "Content-Type": "application/json" };
if (process.env.HPTBENCH_TOKEN) headers.Authorization = `Bearer ${process.env.HPTBENCH_TOKEN}`;

async function post(path, body) {
  const answer = await fetch(`${url}/tuners${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

const space = { x: { type: "float", lower: 0, upper: 1 } };
await post("", { name, space, method: "gp", budget: 15 });
for (let asked; (asked = await post(`/${name}/ask`, { n: 1 })).jobs.length > 0; ) {
  const [job] = asked.jobs;
  const value = (job.config.x - 0.3) ** 2; // here the training is
  await post(`/${name}/tell`, { job: job.id, value });
}
const { best } = await (await fetch(`${url}/tuners/${name}`, { headers })).json();
console.log(best[0].job.config, best[0].values);
