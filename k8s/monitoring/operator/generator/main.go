// What the Prometheus operator makes of a PodMonitor: the scrape configuration, by the operator's own code. For ../../pod_monitor.sh.
package main

import (
	"fmt"
	"os"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus-operator/prometheus-operator/pkg/assets"
	"github.com/prometheus-operator/prometheus-operator/pkg/prometheus"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func configuration(file, version string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	monitor := &monitoring.PodMonitor{}
	if err := yaml.UnmarshalStrict(text, monitor); err != nil {
		return nil, err
	}
	server := &monitoring.Prometheus{
		ObjectMeta: meta.ObjectMeta{Namespace: "monitoring", Name: "main"},
		Spec: monitoring.PrometheusSpec{
			EvaluationInterval: "15s",
			CommonPrometheusFields: monitoring.CommonPrometheusFields{
				Version: version, ScrapeInterval: "15s"}},
	}
	generator, err := prometheus.NewConfigGenerator(nil, server)
	if err != nil {
		return nil, err
	}
	found := map[string]*monitoring.PodMonitor{monitor.Namespace + "/" + monitor.Name: monitor}
	return generator.GenerateServerConfiguration(
		server, nil, found, nil, nil, assets.NewTestStoreBuilder(), nil, nil, nil, nil)
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "generator PODMONITOR VERSION: of Prometheus")
		os.Exit(64)
	}
	text, err := configuration(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Stdout.Write(text)
}
