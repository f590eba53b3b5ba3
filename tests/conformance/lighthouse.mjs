// Lighthouse over pages of one house. Its one argument is JSON: {chrome, flags, cookie: {name, value, url}, door, pages,
// categories}; prints {url asked for: {url reached, scores, lost}}, where `lost` names the audits that cost something.

import { launch } from "chrome-launcher";
import lighthouse from "lighthouse";
import puppeteer from "puppeteer-core";

const { chrome, flags, cookie, door, pages, categories } = JSON.parse(process.argv[2]);

const lookAt = async (url, port) => {
  const options = {
    port, logLevel: "error", onlyCategories: categories, disableStorageReset: true,
    maxWaitForLoad: 15000, // a page that polls is never quiet
  };
  const { lhr } = await lighthouse(url, options);
  if (lhr.runtimeError) throw new Error(`${url}: ${lhr.runtimeError.message}`);
  const costly = ({ id, weight }) => weight > 0 && lhr.audits[id].score !== null && lhr.audits[id].score < 1;
  const named = ({ id }) => `${id} ${lhr.audits[id].score} ${lhr.audits[id].displayValue ?? ""}`.trim();
  const kinds = Object.entries(lhr.categories);
  return {
    url: lhr.finalDisplayedUrl,
    scores: Object.fromEntries(kinds.map(([name, { score }]) => [name, score])),
    lost: kinds.flatMap(([, { auditRefs }]) => auditRefs.filter(costly).map(named)),
  };
};

const running = await launch({ chromePath: chrome, chromeFlags: ["--headless=new", ...flags] });
try {
  const found = { [door]: await lookAt(door, running.port) };
  const browser = await puppeteer.connect({ browserURL: `http://127.0.0.1:${running.port}` });
  await browser.setCookie(cookie);
  await browser.disconnect();
  for (const url of pages) found[url] = await lookAt(url, running.port);
  console.log(JSON.stringify(found));
} finally {
  await running.kill();
}
