// The three questions as a Go programmer would answer them: aws-sdk-go-v2 with
// its defaults, one client for all regions, a goroutine for each of them,
// DescribeRegions in init. It asks what ec2sweep asks, without ::/0.
package main

import (
	"context"
	"fmt"
	"log"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"golang.org/x/sync/errgroup"
)

const anywhere = "0.0.0.0/0"

var (
	client  *ec2.Client
	regions []string
)

func init() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRetryMode(aws.RetryModeStandard),
		config.WithRetryMaxAttempts(10))
	if err != nil {
		log.Fatal(err)
	}
	client = ec2.NewFromConfig(cfg)
	out, err := client.DescribeRegions(ctx, &ec2.DescribeRegionsInput{})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range out.Regions {
		regions = append(regions, aws.ToString(r.RegionName))
	}
}

func in(region string) func(*ec2.Options) {
	return func(o *ec2.Options) { o.Region = region }
}

// eachInstance reads all pages of a region.
func eachInstance(ctx context.Context, region string, filters []types.Filter, take func(types.Instance)) error {
	pages := ec2.NewDescribeInstancesPaginator(client, &ec2.DescribeInstancesInput{Filters: filters})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx, in(region))
		if err != nil {
			return fmt.Errorf("%s: %w", region, err)
		}
		for _, r := range page.Reservations {
			for _, i := range r.Instances {
				take(i)
			}
		}
	}
	return nil
}

// everywhere asks all regions at once; the first error ends it.
func everywhere[row any](ctx context.Context, asked []string,
	ask func(context.Context, string) ([]row, error)) ([]row, error) {
	var mu sync.Mutex
	all := []row{}
	group, ctx := errgroup.WithContext(ctx)
	for _, region := range asked {
		group.Go(func() error {
			rows, err := ask(ctx, region)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, rows...)
			return err
		})
	}
	return all, group.Wait()
}

type counted struct {
	Region  string `json:"region"`
	Total   int    `json:"totalInstances"`
	Running int    `json:"runningInstances"`
}

func count(ctx context.Context, region string) ([]counted, error) {
	c := counted{Region: region}
	err := eachInstance(ctx, region, nil, func(i types.Instance) {
		c.Total++
		if i.State.Name == types.InstanceStateNameRunning {
			c.Running++
		}
	})
	return []counted{c}, err
}

type instance struct {
	Region string                  `json:"region"`
	ID     string                  `json:"instanceId"`
	Name   string                  `json:"instanceName"`
	State  types.InstanceStateName `json:"state"`
}

func tag(key string, tags []types.Tag) string {
	for _, t := range tags {
		if strings.EqualFold(aws.ToString(t.Key), key) {
			return aws.ToString(t.Value)
		}
	}
	return ""
}

func describe(region string, i types.Instance) instance {
	return instance{region, aws.ToString(i.InstanceId), tag("Name", i.Tags), i.State.Name}
}

func withoutOwner(ctx context.Context, region string) (found []instance, err error) {
	err = eachInstance(ctx, region, nil, func(i types.Instance) {
		if tag("Owner", i.Tags) == "" {
			found = append(found, describe(region, i))
		}
	})
	return found, err
}

type permission struct {
	Protocol  string `json:"ipProtocol"`
	FromPort  int32  `json:"fromPort"`
	ToPort    int32  `json:"toPort"`
	AllowFrom string `json:"allowFrom"`
}

type exposed struct {
	instance
	Permissions []permission `json:"permissions"`
}

func openGroups(ctx context.Context, region string) (map[string][]permission, error) {
	groups := map[string][]permission{}
	filter := types.Filter{Name: aws.String("ip-permission.cidr"), Values: []string{anywhere}}
	pages := ec2.NewDescribeSecurityGroupsPaginator(client,
		&ec2.DescribeSecurityGroupsInput{Filters: []types.Filter{filter}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx, in(region))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", region, err)
		}
		for _, g := range page.SecurityGroups {
			var open []permission
			for _, p := range g.IpPermissions {
				for _, r := range p.IpRanges {
					if aws.ToString(r.CidrIp) == anywhere {
						open = append(open, permission{aws.ToString(p.IpProtocol), aws.ToInt32(p.FromPort),
							aws.ToInt32(p.ToPort), aws.ToString(g.GroupName)})
					}
				}
			}
			groups[aws.ToString(g.GroupId)] = open
		}
	}
	return groups, nil
}

func openToAll(ctx context.Context, region string) (found []exposed, err error) {
	groups, err := openGroups(ctx, region)
	if err != nil || len(groups) == 0 {
		return nil, err
	}
	filter := types.Filter{Name: aws.String("instance.group-id"), Values: slices.Sorted(maps.Keys(groups))}
	err = eachInstance(ctx, region, []types.Filter{filter}, func(i types.Instance) {
		e := exposed{instance: describe(region, i)}
		for _, g := range i.SecurityGroups {
			e.Permissions = append(e.Permissions, groups[aws.ToString(g.GroupId)]...)
		}
		found = append(found, e)
	})
	return found, err
}

type event struct {
	ActionGroup string `json:"actionGroup"`
	APIPath     string `json:"apiPath"`
	HTTPMethod  string `json:"httpMethod"`
	Parameters  []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"parameters"`
}

func (e event) regions() []string {
	for _, p := range e.Parameters {
		if p.Name == "regions" && p.Value != "all" {
			return strings.Split(p.Value, ",")
		}
	}
	return regions
}

func answer(ctx context.Context, e event) (any, error) {
	switch e.APIPath {
	case "/count/{regions}":
		return everywhere(ctx, e.regions(), count)
	case "/check-without-owner/{regions}":
		return everywhere(ctx, e.regions(), withoutOwner)
	case "/check-open-permission/{regions}":
		return everywhere(ctx, e.regions(), openToAll)
	}
	return nil, fmt.Errorf("no question %q", e.APIPath)
}

func handle(ctx context.Context, e event) (any, error) {
	body, err := answer(ctx, e)
	if err != nil {
		return nil, err
	}
	return map[string]any{"messageVersion": "1.0", "response": map[string]any{
		"actionGroup": e.ActionGroup, "apiPath": e.APIPath, "httpMethod": e.HTTPMethod, "httpStatusCode": 200,
		"responseBody": map[string]any{"application/json": map[string]any{"body": body}},
	}}, nil
}

func main() {
	lambda.Start(handle)
}
